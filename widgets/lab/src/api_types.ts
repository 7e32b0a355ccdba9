// Made by `python -m kernel_lib.server.typescript` from kernel_lib/server/schemas.py.

export type Broken = {
  place: string;
  problem: string;
};

export type Message = {
  message: string;
};

export type TemplateSummary = {
  name: string;
  title: string;
  description: string;
  presets: string[];
  num_parameters: number;
  built_in: boolean;
};

export type TemplateList = {
  templates: TemplateSummary[];
  broken: Broken[];
};

export type TemplateParameter = {
  name: string;
  type: string;
  help: string;
  default: string;
  picker: 'model' | 'data' | 'none';
};

export type Preset = {
  name: string;
  description: string;
  values: { [name: string]: unknown };
  problem: string;
};

export type TemplateDetail = {
  summary: TemplateSummary;
  parameters: TemplateParameter[];
  schema: { [name: string]: unknown };
  presets: Preset[];
};

export type Names = {
  models: { [name: string]: string };
  data: { [name: string]: string };
};

export type ValidateRequest = {
  template: string;
  preset: string | null;
  values: { [name: string]: unknown };
};

export type ValidateReply = {
  errors: { [name: string]: string };
  problem: string;
};

export type IntakeRequest = {
  template: string;
  preset: string | null;
  values: { [name: string]: unknown };
  folder: string;
};

export type CurePiece = {
  text: string;
  is_code: boolean;
};

export type IntakeFinding = {
  severity: 'stop' | 'caution' | 'note';
  text: string;
  cure: CurePiece[];
};

export type IntakeReply = {
  told: string;
  problem: string;
  headline: string;
  summary: string;
  findings: IntakeFinding[];
  facts: Row[];
};

export type FilledRequest = {
  template: string;
  preset: string | null;
  values: { [name: string]: unknown };
  folder: string;
};

export type OpenRequest = {
  template: string;
  preset: string | null;
  values: { [name: string]: unknown };
  folder: string;
  scheduled: boolean;
};

export type OpenReply = {
  path: string;
};

export type Step = {
  name: string;
  cell: number;
  cells: number;
};

export type Failure = {
  step: string;
  source: string;
  name: string;
  message: string;
};

export type Run = {
  id: string;
  template: string;
  title: string;
  preset: string | null;
  values: { [name: string]: unknown };
  created: string;
  status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'died';
  step: Step | null;
  seconds: number | null;
  failure: Failure | null;
  notebook: string;
  result: ResultSummary | null;
};

export type RunList = {
  runs: Run[];
  limit: number;
};

export type LogReply = {
  text: string;
  next: number;
};

export type Verdict = {
  status: 'pass' | 'warning' | 'fail' | 'undetermined';
  headline: string;
  means: string;
  does_not_mean: string;
  next_step: string;
};

export type ResultSummary = {
  folder: string;
  audit: string;
  question: string;
  status: 'pass' | 'warning' | 'fail' | 'undetermined';
  headline: string;
  created: string;
  figure: string;
};

export type ResultList = {
  results: ResultSummary[];
  broken: Broken[];
};

export type Figure = {
  name: string;
  path: string;
};

export type Table = {
  name: string;
  path: string;
  columns: string[];
  rows: string[][];
  num_rows: number;
};

export type Row = {
  name: string;
  value: string;
};

export type ResultDetail = {
  folder: string;
  audit: string;
  question: string;
  verdict: Verdict;
  scores: { [name: string]: number | null };
  figures: Figure[];
  tables: Table[];
  parameters: Row[];
  provenance: Row[];
  page: string;
  notebook: string;
};
