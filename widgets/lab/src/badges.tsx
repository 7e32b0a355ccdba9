/** A word and a shape for each state; the colour alone carries nothing. */
import * as React from 'react';

import type { IntakeFinding, ResultSummary, Run } from './api_types';

const VERDICTS: { [status in ResultSummary['status']]: [string, string] } = {
  pass: ['✔', 'passes'],
  warning: ['▲', 'take care'],
  fail: ['✖', 'fails'],
  undetermined: ['?', 'undetermined']
};

const STATES: { [status in Run['status']]: [string, string, string] } = {
  queued: ['…', 'queued', 'undetermined'],
  running: ['▶', 'running', 'running'],
  completed: ['✔', 'completed', 'pass'],
  failed: ['✖', 'failed', 'fail'],
  cancelled: ['■', 'cancelled', 'undetermined'],
  died: ['✖', 'died', 'fail']
};

const SEVERITIES: {
  [severity in IntakeFinding['severity']]: [string, string, string];
} = {
  stop: ['✖', 'stop', 'fail'],
  caution: ['▲', 'caution', 'warning'],
  note: ['•', 'note', 'undetermined']
};

export function Verdict(props: {
  status: ResultSummary['status'];
}): JSX.Element {
  const [mark, word] = VERDICTS[props.status];
  return <Badge kind={props.status} mark={mark} word={word} />;
}

export function State(props: { status: Run['status'] }): JSX.Element {
  const [mark, word, kind] = STATES[props.status];
  return <Badge kind={kind} mark={mark} word={word} />;
}

export function Severity(props: {
  severity: IntakeFinding['severity'];
}): JSX.Element {
  const [mark, word, kind] = SEVERITIES[props.severity];
  return <Badge kind={kind} mark={mark} word={word} />;
}

function Badge(props: {
  kind: string;
  mark: string;
  word: string;
}): JSX.Element {
  return (
    <span className={`kl-badge kl-${props.kind}`}>
      <span aria-hidden="true">{props.mark}</span> {props.word}
    </span>
  );
}
