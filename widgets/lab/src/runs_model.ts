/** What the server tells of runs, asked often while one goes on and seldom otherwise. */
import { Poll } from '@lumino/polling';
import { Signal, type ISignal } from '@lumino/signaling';

import type { Api } from './api';
import type { Run } from './api_types';

const OFTEN = 1000; // milliseconds
const SELDOM = 20_000;

export function isActive(run: Run): boolean {
  return run.status === 'queued' || run.status === 'running';
}

export class RunsModel {
  constructor(readonly api: Api) {
    this.poll = new Poll({
      name: 'kernel-lib:runs',
      auto: false,
      factory: () => this.ask(),
      frequency: { interval: OFTEN, backoff: true, max: 60_000 },
      standby: 'when-hidden'
    });
  }

  /** The newest first. */
  get runs(): readonly Run[] {
    return this.known;
  }

  /** How many may go on at once. */
  get limit(): number {
    return this.allowed;
  }

  get changed(): ISignal<this, void> {
    return this.changes;
  }

  /** Tells of each run that was seen going on and has ended. */
  get ended(): ISignal<this, Run> {
    return this.ends;
  }

  start(): void {
    void this.poll.start();
  }

  async refresh(): Promise<void> {
    await this.poll.refresh();
    await this.poll.tick;
  }

  dispose(): void {
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async ask(): Promise<void> {
    const { runs, limit } = await this.api.runs();
    const before = new Map(this.known.map(run => [run.id, run]));
    const differ = JSON.stringify(runs) !== JSON.stringify(this.known);
    this.known = runs;
    this.allowed = limit;
    const interval = runs.some(isActive) ? OFTEN : SELDOM;
    if (this.poll.frequency.interval !== interval) {
      this.poll.frequency = { ...this.poll.frequency, interval };
    }
    if (differ) {
      this.changes.emit();
    }
    for (const run of runs) {
      const earlier = before.get(run.id);
      if (earlier && isActive(earlier) && !isActive(run)) {
        this.ends.emit(run);
      }
    }
  }

  private poll: Poll;
  private known: Run[] = [];
  private allowed = 1;
  private changes = new Signal<this, void>(this);
  private ends = new Signal<this, Run>(this);
}
