/** What a form knows of the intake: whether there is one, and whether it still holds. */
import type { IntakeReply, IntakeRequest, TemplateDetail } from './api_types';

/** What became of a check of model and data. */
export type Looked =
  | { kind: 'not yet' }
  | { kind: 'looking'; asked: string }
  | { kind: 'said'; asked: string; reply: IntakeReply }
  | { kind: 'failed'; asked: string; problem: string };

/** Whether the template names a model and images that can be looked at before a run. */
export function hasIntake(detail: TemplateDetail): boolean {
  const pickers = detail.parameters.map(each => each.picker);
  return pickers.includes('model') && pickers.includes('data');
}

/** What was asked, in a form that can be compared. */
export function keyOf(request: IntakeRequest): string {
  return JSON.stringify(request);
}

/** Whether values have changed since they were looked at. */
export function isStale(looked: Looked, request: IntakeRequest): boolean {
  return looked.kind !== 'not yet' && looked.asked !== keyOf(request);
}
