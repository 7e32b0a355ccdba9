/** The side panel of runs: how far each is, what it says, how it ended. */
import { ReactWidget, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { messageOf } from './api';
import type { Api } from './api';
import type { Run } from './api_types';
import { State, Verdict } from './badges';
import { clock, lasting, moment } from './compare';
import { isActive, type RunsModel } from './runs_model';

const LOG_EVERY = 1000; // milliseconds

export type RunActions = {
  openNotebook: (path: string) => void;
  openResults: (folders: string[]) => void;
  openGallery: () => void;
};

export class RunsPanel extends ReactWidget {
  constructor(
    private model: RunsModel,
    private actions: RunActions
  ) {
    super();
    this.addClass('kl-runs');
  }

  protected render(): JSX.Element {
    return (
      <UseSignal signal={this.model.changed}>
        {() => <Runs model={this.model} actions={this.actions} />}
      </UseSignal>
    );
  }
}

function Runs(props: { model: RunsModel; actions: RunActions }): JSX.Element {
  const { runs, limit } = props.model;
  return (
    <>
      <header className="kl-runs-header">
        <h2>Check-up runs</h2>
        <button
          type="button"
          className="jp-mod-styled kl-small"
          onClick={props.actions.openGallery}
        >
          All check-ups
        </button>
      </header>
      <p className="kl-help">
        {runs.length === 0
          ? 'Nothing has been run yet. Choose a check-up to begin.'
          : `At most ${limit} at once; the others wait.`}
      </p>
      <ul className="kl-run-list" aria-label="Runs">
        {runs.map(run => (
          <RunItem key={run.id} run={run} {...props} />
        ))}
      </ul>
    </>
  );
}

type ItemProps = { run: Run; model: RunsModel; actions: RunActions };

function RunItem(props: ItemProps): JSX.Element {
  const { run, model, actions } = props;
  const [log, setLog] = React.useState(false);
  const [problem, setProblem] = React.useState('');
  const active = isActive(run);
  const call = async (what: Promise<unknown>): Promise<void> => {
    setProblem('');
    try {
      await what;
      await model.refresh();
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  return (
    <li className="kl-run" aria-label={`${run.title}, ${run.status}`}>
      <div className="kl-run-title">
        <strong>{run.title}</strong>
        <State status={run.status} />
      </div>
      <p className="kl-help">
        {[run.preset, moment(run.created), clock(run.seconds)]
          .filter(Boolean)
          .join(' · ')}
      </p>
      {active && <Progress run={run} />}
      {run.result && (
        <p className="kl-run-verdict">
          <Verdict status={run.result.status} /> {run.result.headline}
        </p>
      )}
      {run.failure && <FailureOf failure={run.failure} />}
      {run.status === 'died' && (
        <p className="kl-problem">
          Its process is gone{run.step ? `, in the step ${run.step.name}` : ''}.
          Most often the machine was restarted or memory ran out.
        </p>
      )}
      <div className="kl-buttons">
        {run.result && (
          <Button
            label="Result"
            onClick={() => actions.openResults([run.result?.folder ?? ''])}
          />
        )}
        {run.notebook && (
          <Button
            label="Notebook"
            onClick={() => actions.openNotebook(run.notebook)}
          />
        )}
        <Button
          label="Log"
          expanded={log}
          onClick={() => setLog(shown => !shown)}
        />
        {active ? (
          <Button
            label="Cancel"
            onClick={() => void call(model.api.cancel(run.id))}
          />
        ) : (
          <Button
            label="Forget"
            onClick={() => void call(model.api.forget(run.id))}
          />
        )}
      </div>
      {problem && (
        <p className="kl-problem" role="alert">
          {problem}
        </p>
      )}
      {log && <Log api={model.api} run={run.id} live={active} />}
    </li>
  );
}

function Button(props: {
  label: string;
  expanded?: boolean;
  onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      className="jp-mod-styled kl-small"
      aria-expanded={props.expanded}
      onClick={props.onClick}
    >
      {props.label}
    </button>
  );
}

function Progress(props: { run: Run }): JSX.Element {
  const { step, status } = props.run;
  const waiting = status === 'queued' ? 'Waiting for its turn' : 'Starting';
  const text = step ? `${step.cell} of ${step.cells}: ${step.name}` : waiting;
  return (
    <div className="kl-progress">
      <progress
        aria-label={text}
        value={step ? step.cell - 0.5 : undefined}
        max={step?.cells ?? 1}
      />
      <span>{text}</span>
    </div>
  );
}

function FailureOf(props: {
  failure: NonNullable<Run['failure']>;
}): JSX.Element {
  const { step, source, name, message } = props.failure;
  return (
    <div className="kl-failure">
      {step && <p>In the step “{step}”:</p>}
      {source && <pre>{source}</pre>}
      <p className="kl-problem">
        {name}
        {message && `: ${message}`}
      </p>
    </div>
  );
}

/** What a run prints, followed while it goes on. */
function Log(props: { api: Api; run: string; live: boolean }): JSX.Element {
  const [text, setText] = React.useState('');
  const place = React.useRef(0);
  const element = React.useRef<HTMLPreElement>(null);
  React.useEffect(() => {
    let current = true;
    const follow = async (): Promise<void> => {
      const start = place.current;
      const more = await props.api.log(props.run, start);
      if (current && place.current === start && more.next !== start) {
        place.current = more.next;
        setText(before => (before + more.text).slice(-200_000));
      }
    };
    // A miss is made up for by the next look.
    const look = (): void => void follow().catch(() => undefined);
    look();
    const timer = props.live ? window.setInterval(look, LOG_EVERY) : 0;
    return () => {
      current = false;
      window.clearInterval(timer);
    };
  }, [props.run, props.live]);
  React.useEffect(() => {
    element.current?.scrollTo(0, element.current.scrollHeight);
  }, [text]);
  return (
    <pre ref={element} className="kl-log" tabIndex={0} aria-label="Log">
      {lasting(text) || 'Nothing yet.'}
    </pre>
  );
}
