import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type {
  FilledRequest,
  IntakeReply,
  IntakeRequest,
  LogReply,
  Message,
  Names,
  OpenReply,
  OpenRequest,
  ResultDetail,
  ResultList,
  Run,
  RunList,
  TemplateDetail,
  TemplateList,
  ValidateReply,
  ValidateRequest
} from './api_types';

type Query = { [name: string]: string };

/** What the server extension can do. Each call fails with a message for people. */
export class Api {
  constructor(private settings = ServerConnection.makeSettings()) {}

  templates(): Promise<TemplateList> {
    return this.get(['templates']);
  }

  template(name: string): Promise<TemplateDetail> {
    return this.get(['templates', name]);
  }

  names(): Promise<Names> {
    return this.get(['names']);
  }

  validate(request: ValidateRequest): Promise<ValidateReply> {
    return this.post(['validate'], request);
  }

  /** Look at model and data before a run; takes as long as TensorFlow needs. */
  intake(request: IntakeRequest): Promise<IntakeReply> {
    return this.post(['intake'], request);
  }

  /** Make a notebook with the values filled in. */
  open(request: OpenRequest): Promise<OpenReply> {
    return this.post(['notebooks'], request);
  }

  runs(): Promise<RunList> {
    return this.get(['runs']);
  }

  start(request: FilledRequest): Promise<Run> {
    return this.post(['runs'], request);
  }

  cancel(run: string): Promise<Run> {
    return this.post(['runs', run, 'cancel'], {});
  }

  async forget(run: string): Promise<void> {
    await this.request('DELETE', ['runs', run]);
  }

  log(run: string, start: number): Promise<LogReply> {
    return this.get(['runs', run, 'log'], { start: String(start) });
  }

  results(folder: string): Promise<ResultList> {
    return this.get(['results'], { folder });
  }

  result(folder: string): Promise<ResultDetail> {
    return this.get(['result'], { folder });
  }

  private async get<T>(route: string[], query: Query = {}): Promise<T> {
    return JSON.parse(await this.request('GET', route, query)) as T;
  }

  private async post<T>(route: string[], body: object): Promise<T> {
    return JSON.parse(await this.request('POST', route, {}, body)) as T;
  }

  private async request(
    method: string,
    route: string[],
    query: Query = {},
    body?: object
  ): Promise<string> {
    const url =
      URLExt.join(
        this.settings.baseUrl,
        'kernel-lib/api',
        ...route.map(encodeURIComponent)
      ) + URLExt.objectToQueryString(query);
    const init: RequestInit = { method };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
    }
    const response = await ServerConnection.makeRequest(
      url,
      init,
      this.settings
    );
    const text = await response.text();
    if (!response.ok) {
      throw new Error(messageIn(text) ?? response.statusText);
    }
    return text;
  }
}

/** The message of an error, for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function messageIn(text: string): string | null {
  try {
    return (JSON.parse(text) as Partial<Message>).message ?? null;
  } catch {
    return null;
  }
}
