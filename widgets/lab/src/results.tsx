/** The page of a result, or of several side by side. */
import { ReactWidget } from '@jupyterlab/ui-components';
import { Signal, type ISignal } from '@lumino/signaling';
import * as React from 'react';

import { messageOf } from './api';
import type { Api } from './api';
import type { ResultDetail, ResultSummary } from './api_types';
import { Verdict } from './badges';
import {
  moment,
  scoreRows,
  shown,
  shownDifference,
  sideBySide
} from './compare';

export type ResultOptions = {
  api: Api;
  folders: string[];
  urlOf: (path: string) => Promise<string>;
  openFile: (path: string) => void;
};

export class ResultView extends ReactWidget {
  constructor(private options: ResultOptions) {
    super();
    this.shownFolders = options.folders;
    this.addClass('kl-page');
    this.node.tabIndex = -1;
  }

  /** The folders that are shown. */
  get folders(): string[] {
    return this.shownFolders;
  }

  get foldersChanged(): ISignal<this, void> {
    return this.changes;
  }

  protected render(): JSX.Element {
    return (
      <Page
        {...this.options}
        onFolders={folders => {
          this.shownFolders = folders;
          this.changes.emit();
        }}
      />
    );
  }

  private shownFolders: string[];
  private changes = new Signal<this, void>(this);
}

type PageProps = ResultOptions & { onFolders: (folders: string[]) => void };

function Page(props: PageProps): JSX.Element {
  const [folders, setFolders] = React.useState(props.folders);
  const [results, setResults] = React.useState<ResultDetail[]>([]);
  const [problem, setProblem] = React.useState('');
  React.useEffect(() => {
    let current = true;
    props.onFolders(folders);
    Promise.all(folders.map(folder => props.api.result(folder)))
      .then(found => {
        if (current) {
          setResults(found);
          setProblem('');
        }
      })
      .catch((error: unknown) => current && setProblem(messageOf(error)));
    return () => {
      current = false;
    };
  }, [folders.join('\n')]);
  if (problem) {
    return (
      <p className="kl-problem" role="alert">
        {problem}
      </p>
    );
  }
  if (results.length === 0) {
    return <p className="kl-wait">Reading the result…</p>;
  }
  return (
    <article className="kl-result">
      <Columns
        {...props}
        results={results}
        onRemove={folder =>
          setFolders(before => before.filter(each => each !== folder))
        }
      />
      <Comparison
        api={props.api}
        folders={folders}
        onAdd={folder => setFolders(before => [...before, folder])}
      />
      <Scores results={results} />
      <Figures results={results} urlOf={props.urlOf} />
      <Tables results={results} />
      <Facts
        title="Parameters"
        parts={results.map(each => each.parameters)}
        results={results}
      />
      <Facts
        title="Where this comes from"
        parts={results.map(each => each.provenance)}
        results={results}
      />
    </article>
  );
}

type ResultsProps = { results: ResultDetail[] };

/** A short name for the column of a result. */
function nameOf(result: ResultDetail): string {
  return result.folder.split('/').pop() || result.audit;
}

function Columns(
  props: ResultsProps &
    Pick<ResultOptions, 'openFile'> & { onRemove: (folder: string) => void }
): JSX.Element {
  return (
    <div className="kl-columns">
      {props.results.map(result => (
        <section
          key={result.folder}
          className={`kl-verdict kl-${result.verdict.status}`}
          aria-label={`Verdict of ${nameOf(result)}`}
        >
          <p className="kl-help">
            {result.audit} audit · {result.folder || '/'}
          </p>
          <h1>{result.question || result.audit}</h1>
          <p className="kl-headline">
            <Verdict status={result.verdict.status} />{' '}
            <strong>{result.verdict.headline}</strong>
          </p>
          <p>
            <strong>What it means.</strong> {result.verdict.means}
          </p>
          <p>
            <strong>What it does not mean.</strong>{' '}
            {result.verdict.does_not_mean}
          </p>
          <p>
            <strong>What to do next.</strong> {result.verdict.next_step}
          </p>
          <div className="kl-buttons">
            {result.notebook && (
              <button
                type="button"
                className="jp-mod-styled kl-small"
                onClick={() => props.openFile(result.notebook)}
              >
                Notebook
              </button>
            )}
            {result.page && (
              <button
                type="button"
                className="jp-mod-styled kl-small"
                onClick={() => props.openFile(result.page)}
              >
                Page for others
              </button>
            )}
            {props.results.length > 1 && (
              <button
                type="button"
                className="jp-mod-styled kl-small"
                aria-label={`Take ${nameOf(result)} away`}
                onClick={() => props.onRemove(result.folder)}
              >
                Take away
              </button>
            )}
          </div>
        </section>
      ))}
    </div>
  );
}

/** A choice of further results, looked for when somebody wants one. */
function Comparison(props: {
  api: Api;
  folders: string[];
  onAdd: (folder: string) => void;
}): JSX.Element {
  const [known, setKnown] = React.useState<ResultSummary[] | null>(null);
  const [problem, setProblem] = React.useState('');
  const look = (): void => {
    props.api
      .results('')
      .then(list => setKnown(list.results))
      .catch((error: unknown) => setProblem(messageOf(error)));
  };
  const others = known?.filter(each => !props.folders.includes(each.folder));
  return (
    <div className="kl-compare">
      {others === undefined ? (
        <button type="button" className="jp-mod-styled" onClick={look}>
          Compare with…
        </button>
      ) : (
        <label>
          Compare with{' '}
          <select
            value=""
            autoFocus
            onChange={event => props.onAdd(event.target.value)}
          >
            <option value="" disabled>
              {others.length ? 'Choose a result' : 'There is no other result'}
            </option>
            {others.map(each => (
              <option key={each.folder} value={each.folder}>
                {each.folder || '/'} ({each.audit}, {moment(each.created)})
              </option>
            ))}
          </select>
        </label>
      )}
      {problem && <p className="kl-problem">{problem}</p>}
    </div>
  );
}

function Scores(props: ResultsProps): JSX.Element | null {
  const rows = scoreRows(props.results.map(each => each.scores));
  if (rows.length === 0) {
    return null;
  }
  return (
    <section>
      <h2>Scores</h2>
      <div className="kl-wide">
        <table className="kl-table">
          <Head results={props.results} first="Score" />
          <tbody>
            {rows.map(row => (
              <tr key={row.name}>
                <th scope="row">{row.name.replace(/_/g, ' ')}</th>
                {row.values.map((value, index) => (
                  <td key={index} className="kl-number">
                    {shown(value)}
                    {index > 0 && (
                      <span className="kl-difference">
                        {shownDifference(row.differences[index] ?? null)}
                      </span>
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Head(props: ResultsProps & { first: string }): JSX.Element | null {
  if (props.results.length < 2) {
    return null;
  }
  return (
    <thead>
      <tr>
        <th scope="col">{props.first}</th>
        {props.results.map(each => (
          <th key={each.folder} scope="col" title={each.folder}>
            {nameOf(each)}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function Figures(
  props: ResultsProps & Pick<ResultOptions, 'urlOf'>
): JSX.Element | null {
  const names = [
    ...new Set(props.results.flatMap(each => each.figures.map(one => one.name)))
  ];
  if (names.length === 0) {
    return null;
  }
  return (
    <section>
      <h2>Figures</h2>
      {names.map(name => (
        <div key={name} className="kl-columns">
          {props.results.map(result => {
            const figure = result.figures.find(each => each.name === name);
            return (
              <figure key={result.folder}>
                {figure ? (
                  <Picture path={figure.path} name={name} urlOf={props.urlOf} />
                ) : (
                  <p className="kl-help">Not in {nameOf(result)}.</p>
                )}
                <figcaption>
                  {name.replace(/_/g, ' ')}
                  {props.results.length > 1 && `, ${nameOf(result)}`}
                </figcaption>
              </figure>
            );
          })}
        </div>
      ))}
    </section>
  );
}

function Picture(props: {
  path: string;
  name: string;
  urlOf: (path: string) => Promise<string>;
}): JSX.Element {
  const [url, setUrl] = React.useState('');
  React.useEffect(() => {
    void props.urlOf(props.path).then(setUrl);
  }, [props.path]);
  return url ? <img src={url} alt={props.name.replace(/_/g, ' ')} /> : <span />;
}

function Tables(props: ResultsProps): JSX.Element | null {
  const names = [
    ...new Set(props.results.flatMap(each => each.tables.map(one => one.name)))
  ];
  const [name, setName] = React.useState(names[0] ?? '');
  if (names.length === 0) {
    return null;
  }
  return (
    <section>
      <h2>Tables</h2>
      <label className="kl-choice">
        Table{' '}
        <select value={name} onChange={event => setName(event.target.value)}>
          {names.map(each => (
            <option key={each} value={each}>
              {each.replace(/_/g, ' ')}
            </option>
          ))}
        </select>
      </label>
      <div className="kl-columns">
        {props.results.map(result => (
          <TableOf
            key={result.folder}
            table={result.tables.find(each => each.name === name)}
            of={nameOf(result)}
          />
        ))}
      </div>
    </section>
  );
}

function TableOf(props: {
  table: ResultDetail['tables'][number] | undefined;
  of: string;
}): JSX.Element {
  const { table } = props;
  if (!table || table.columns.length === 0) {
    return <p className="kl-help">Not in {props.of}.</p>;
  }
  const left = table.num_rows - table.rows.length;
  return (
    <div className="kl-wide" tabIndex={0} role="region" aria-label={table.name}>
      <table className="kl-table">
        <caption>{props.of}</caption>
        <thead>
          <tr>
            {table.columns.map(each => (
              <th key={each} scope="col">
                {each.replace(/_/g, ' ')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column}>{short(cell)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {left > 0 && (
        <p className="kl-help">
          {left} more rows in {table.path}
        </p>
      )}
    </div>
  );
}

function Facts(
  props: ResultsProps & {
    title: string;
    parts: ResultDetail['parameters'][];
  }
): JSX.Element | null {
  const rows = sideBySide(props.parts);
  const [onlyDifferent, setOnlyDifferent] = React.useState(false);
  const several = props.results.length > 1;
  const shownRows = rows.filter(each => !onlyDifferent || each.differs);
  if (rows.length === 0) {
    return null;
  }
  return (
    <section>
      <h2>{props.title}</h2>
      {several && (
        <label className="kl-choice">
          <input
            type="checkbox"
            checked={onlyDifferent}
            onChange={event => setOnlyDifferent(event.target.checked)}
          />{' '}
          Only what differs
        </label>
      )}
      <div className="kl-wide">
        <table className="kl-table">
          <Head results={props.results} first="Name" />
          <tbody>
            {shownRows.map(row => (
              <tr
                key={row.name}
                className={row.differs ? 'kl-mod-differs' : undefined}
              >
                <th scope="row">
                  {row.name.replace(/_/g, ' ')}
                  {row.differs && <span className="kl-differs"> differs</span>}
                </th>
                {row.values.map((value, index) => (
                  <td key={index}>{value ?? '–'}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** Long decimal numbers cut to what can be read. */
function short(cell: string): string {
  return /^-?\d+\.\d{5,}(e[+-]?\d+)?$/.test(cell) ? shown(Number(cell)) : cell;
}
