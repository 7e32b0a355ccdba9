/** A look at model and data before a run: how the network is fed and judged. */
import * as React from 'react';

import { messageOf } from './api';
import type { Api } from './api';
import type { IntakeReply, IntakeRequest } from './api_types';
import { Severity } from './badges';
import { isStale, keyOf } from './intake';
import type { Looked } from './intake';

export function IntakePanel(props: {
  api: Api;
  request: IntakeRequest;
  blocked: boolean;
}): JSX.Element {
  const [looked, setLooked] = React.useState<Looked>({ kind: 'not yet' });
  const looking = looked.kind === 'looking';
  const look = async (): Promise<void> => {
    const asked = keyOf(props.request);
    setLooked({ kind: 'looking', asked });
    try {
      const reply = await props.api.intake(props.request);
      setLooked({ kind: 'said', asked, reply });
    } catch (error) {
      setLooked({ kind: 'failed', asked, problem: messageOf(error) });
    }
  };
  return (
    <section className="kl-intake" aria-label="Intake">
      <div className="kl-intake-head">
        <button
          type="button"
          className="jp-mod-styled"
          disabled={props.blocked || looking}
          onClick={() => void look()}
        >
          Check model and data
        </button>
        <span className="kl-help">
          How the network is fed and judged, before anything is run.
        </span>
      </div>
      <div aria-live="polite" aria-busy={looking}>
        {looking && <p>Reading the network and its images…</p>}
        {!looking && isStale(looked, props.request) && (
          <p className="kl-help">The values have changed since this check.</p>
        )}
        {looked.kind === 'failed' && (
          <p className="kl-problem">{looked.problem}</p>
        )}
        {looked.kind === 'said' && <Said reply={looked.reply} />}
      </div>
    </section>
  );
}

function Said(props: { reply: IntakeReply }): JSX.Element {
  const { reply } = props;
  if (reply.problem) {
    return <p className="kl-problem">{reply.problem}</p>;
  }
  if (reply.told) {
    return <p>{reply.told}</p>;
  }
  return (
    <>
      <p>
        <b>{reply.headline}</b>
      </p>
      <p>{reply.summary}.</p>
      <ul className="kl-findings">
        {reply.findings.map((finding, index) => (
          <li key={index}>
            <Severity severity={finding.severity} /> {finding.text}
            {finding.cure.length > 0 && (
              <p>
                <b>Cure.</b>{' '}
                {finding.cure.map((piece, place) =>
                  piece.is_code ? (
                    <code key={place}>{piece.text}</code>
                  ) : (
                    <React.Fragment key={place}>{piece.text}</React.Fragment>
                  )
                )}
              </p>
            )}
          </li>
        ))}
      </ul>
      <details>
        <summary>How the network is fed and judged</summary>
        <table>
          <tbody>
            {reply.facts.map(fact => (
              <tr key={fact.name}>
                <th scope="row">{fact.name}</th>
                <td>{fact.value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}
