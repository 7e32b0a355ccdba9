/** All templates: what each asks and needs, its presets, and what it last found. */
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { messageOf } from './api';
import type { Api } from './api';
import type {
  ResultSummary,
  TemplateDetail,
  TemplateList,
  TemplateSummary
} from './api_types';
import { Verdict } from './badges';
import { moment } from './compare';
import { iconOf } from './icons';
import type { RunsModel } from './runs_model';

const LAST_RESULTS = 3;

export type GalleryOptions = {
  api: Api;
  model: RunsModel;
  /** The address of a file of the server. */
  urlOf: (path: string) => Promise<string>;
  setUp: (template: string, preset: string | null) => void;
  openResults: (folders: string[]) => void;
  /** Is told what was found. */
  onTemplates: (list: TemplateList) => void;
};

export class Gallery extends ReactWidget {
  constructor(private options: GalleryOptions) {
    super();
    this.addClass('kl-page');
    this.node.tabIndex = -1;
  }

  protected render(): JSX.Element {
    return <Page {...this.options} />;
  }
}

function Page(props: GalleryOptions): JSX.Element {
  const [list, setList] = React.useState<TemplateList | null>(null);
  const [problem, setProblem] = React.useState('');
  const look = (): void => {
    props.api
      .templates()
      .then(found => {
        setProblem('');
        setList(found);
        props.onTemplates(found);
      })
      .catch((error: unknown) => setProblem(messageOf(error)));
  };
  React.useEffect(look, []);
  return (
    <div className="kl-gallery">
      <header className="kl-header">
        <div>
          <h1>Model check-ups</h1>
          <p>Each asks one question of a trained image classifier.</p>
        </div>
        <button type="button" className="jp-mod-styled" onClick={look}>
          Look again
        </button>
      </header>
      {problem && (
        <p className="kl-problem" role="alert">
          {problem}
        </p>
      )}
      {!list && !problem && <p className="kl-wait">Looking for templates…</p>}
      <UseSignal signal={props.model.changed}>
        {() => (
          <ul className="kl-cards">
            {list?.templates.map(each => (
              <Card key={each.name} summary={each} {...props} />
            ))}
          </ul>
        )}
      </UseSignal>
      {list && list.broken.length > 0 && (
        <section
          className="kl-broken"
          aria-label="Templates that cannot be read"
        >
          <h2>Templates that cannot be read</h2>
          <ul>
            {list.broken.map(each => (
              <li key={each.place}>
                <strong>{each.place}</strong> {each.problem}
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

type CardProps = GalleryOptions & { summary: TemplateSummary };

function Card(props: CardProps): JSX.Element {
  const { name, title, description, presets, num_parameters } = props.summary;
  const last = props.model.runs
    .filter(run => run.template === name && run.result)
    .slice(0, LAST_RESULTS)
    .map(run => run.result as ResultSummary);
  return (
    <li className="kl-card" aria-label={title}>
      <Thumbnail name={name} last={last[0] ?? null} urlOf={props.urlOf} />
      <div className="kl-card-words">
        <h2>{title}</h2>
        <p>{description}</p>
        <Parameters api={props.api} name={name} count={num_parameters} />
        {presets.length > 0 && (
          <div className="kl-chips" role="group" aria-label="Presets">
            {presets.map(preset => (
              <button
                key={preset}
                type="button"
                className="kl-chip"
                title={`Set up with the preset ${preset}`}
                onClick={() => props.setUp(name, preset)}
              >
                {preset}
              </button>
            ))}
          </div>
        )}
        {last.map(result => (
          <button
            key={result.folder}
            type="button"
            className="kl-last"
            title={result.headline}
            onClick={() => props.openResults([result.folder])}
          >
            <Verdict status={result.status} />
            <span>{moment(result.created)}</span>
          </button>
        ))}
        <div className="kl-buttons kl-card-end">
          <button
            type="button"
            className="jp-mod-styled jp-mod-accept"
            onClick={() => props.setUp(name, null)}
          >
            Set up…
          </button>
          {last.length > 1 && (
            <button
              type="button"
              className="jp-mod-styled"
              onClick={() => props.openResults(last.map(each => each.folder))}
            >
              Compare
            </button>
          )}
        </div>
      </div>
    </li>
  );
}

/** The first figure of the last result, or else the picture of the template. */
function Thumbnail(props: {
  name: string;
  last: ResultSummary | null;
  urlOf: (path: string) => Promise<string>;
}): JSX.Element {
  const path = props.last?.figure ?? '';
  const [url, setUrl] = React.useState('');
  React.useEffect(() => {
    let current = true;
    setUrl('');
    if (path) {
      void props.urlOf(path).then(found => current && setUrl(found));
    }
    return () => {
      current = false;
    };
  }, [path, props.last?.created]);
  return (
    <div className={`kl-thumbnail${url ? ' kl-mod-figure' : ''}`}>
      {url ? (
        <img src={url} alt="A figure of the last result" />
      ) : (
        <span className="kl-picture" aria-hidden="true">
          {React.createElement(iconOf(props.name).react, { tag: 'span' })}
        </span>
      )}
    </div>
  );
}

/** The parameters, read only when somebody wants to see them. */
function Parameters(props: {
  api: Api;
  name: string;
  count: number;
}): JSX.Element {
  const [detail, setDetail] = React.useState<TemplateDetail | null>(null);
  const look = (): void => {
    if (!detail) {
      // The form tells what is wrong with a template that cannot be read.
      void props.api
        .template(props.name)
        .then(setDetail)
        .catch(() => undefined);
    }
  };
  return (
    <details className="kl-parameters" onToggle={look}>
      <summary>
        {props.count} {props.count === 1 ? 'parameter' : 'parameters'}
      </summary>
      <dl>
        {detail?.parameters.map(each => (
          <React.Fragment key={each.name}>
            <dt>
              <code>{each.name}</code> <span>{each.type}</span>
            </dt>
            <dd>{each.help}</dd>
          </React.Fragment>
        ))}
      </dl>
    </details>
  );
}
