/** The page of a template: what it asks, a preset, the form, Open and Run. */
import { ReactWidget, FormComponent } from '@jupyterlab/ui-components';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import type { UiSchema } from '@rjsf/utils';
import { customizeValidator } from '@rjsf/validator-ajv8';
import * as React from 'react';

import { messageOf } from './api';
import type { Api } from './api';
import type { Names, TemplateDetail } from './api_types';
import { moment } from './compare';
import { formTemplates } from './form_templates';
import {
  baseValues,
  formSchema,
  fromForm,
  readable,
  toForm,
  type Values
} from './form_values';
import { iconOf } from './icons';
import { hasIntake } from './intake';
import { IntakePanel } from './intake_panel';
import { Picker } from './picker';

const validator = customizeValidator<ReadonlyJSONObject>();

const CHECK_AFTER = 250; // milliseconds without a key

export type FormOptions = {
  api: Api;
  template: string;
  folder: string;
  preset: string | null;
  manager: IDocumentManager | null;
  /** Show a notebook that was made. */
  onOpened: (path: string) => void;
  /** Show a run that was started. */
  onStarted: (run: string) => void;
  /** Make a job of a notebook, where another extension schedules jobs. */
  scheduler: () => ((path: string) => Promise<void>) | null;
};

export class FormPage extends ReactWidget {
  constructor(private options: FormOptions) {
    super();
    this.addClass('kl-page');
    this.node.tabIndex = -1;
  }

  protected render(): JSX.Element {
    return <Loader {...this.options} />;
  }
}

function Loader(props: FormOptions): JSX.Element {
  const [detail, setDetail] = React.useState<TemplateDetail | null>(null);
  const [names, setNames] = React.useState<Names>({ models: {}, data: {} });
  const [problem, setProblem] = React.useState('');
  React.useEffect(() => {
    props.api
      .template(props.template)
      .then(setDetail)
      .catch((error: unknown) => setProblem(messageOf(error)));
    // Suggestions may come later, or not at all.
    props.api
      .names()
      .then(setNames)
      .catch(() => undefined);
  }, [props.template]);
  if (problem) {
    return (
      <p className="kl-problem" role="alert">
        {problem}
      </p>
    );
  }
  return detail ? (
    <Form {...props} detail={detail} names={names} />
  ) : (
    <p className="kl-wait">Reading the template…</p>
  );
}

type FormProps = FormOptions & { detail: TemplateDetail; names: Names };

function Form(props: FormProps): JSX.Element {
  const { detail } = props;
  const known = detail.presets.some(each => each.name === props.preset);
  const [preset, setPreset] = React.useState(known ? props.preset : null);
  const base = React.useMemo(() => baseValues(detail, preset), [preset]);
  const [form, setForm] = React.useState<Values>(() => toForm(detail, base));
  const [busy, setBusy] = React.useState(false);
  const [told, setTold] = React.useState<{ text: string; bad: boolean }>({
    text: '',
    bad: false
  });
  const schema = React.useMemo(() => formSchema(detail), [detail]);
  const layout = React.useMemo(() => layoutOf(detail), [detail]);
  const hasErrors = React.useMemo(
    () => !validator.isValid(schema, form as ReadonlyJSONObject, schema),
    [schema, form]
  );
  const values = fromForm(detail, form, base);
  const refused = useServerCheck(props, preset, values, hasErrors);
  const request = {
    template: props.template,
    preset,
    values,
    folder: props.folder
  };
  const chosen = detail.presets.find(each => each.name === preset);
  const blocked = busy || hasErrors || refused.any || Boolean(chosen?.problem);

  const choose = (name: string | null): void => {
    setPreset(name);
    setForm(toForm(detail, baseValues(detail, name)));
    setTold({ text: '', bad: false });
  };
  const send = async (what: () => Promise<string>): Promise<void> => {
    setBusy(true);
    setTold({ text: '', bad: false });
    try {
      setTold({ text: await what(), bad: false });
    } catch (error) {
      setTold({ text: messageOf(error), bad: true });
    } finally {
      setBusy(false);
    }
  };
  const open = async (): Promise<string> => {
    const { path } = await props.api.open({ ...request, scheduled: false });
    props.onOpened(path);
    return `Made ${path}.`;
  };
  const schedule = props.scheduler();
  const openJob = async (): Promise<string> => {
    const { path } = await props.api.open({ ...request, scheduled: true });
    await schedule?.(path);
    return `Made ${path}.`;
  };
  const run = async (): Promise<string> => {
    const started = await props.api.start(request);
    props.onStarted(started.id);
    return `Started at ${moment(started.created)}: see the check-up runs.`;
  };

  const problem = chosen?.problem || refused.problem;
  return (
    <form
      className="kl-form"
      aria-label={detail.summary.title}
      noValidate
      onSubmit={event => event.preventDefault()}
    >
      <header className="kl-header">
        <span className="kl-picture" aria-hidden="true">
          {React.createElement(iconOf(props.template).react, { tag: 'span' })}
        </span>
        <div>
          <h1>{detail.summary.title}</h1>
          <p>{detail.summary.description}</p>
        </div>
      </header>
      <Presets detail={detail} preset={preset} onChoose={choose} />
      <FormComponent
        tagName="div"
        idPrefix="root"
        schema={schema}
        uiSchema={layout}
        validator={validator}
        formData={form as ReadonlyJSONObject}
        formContext={{
          names: props.names,
          folder: props.folder,
          manager: props.manager,
          defaultFormData: base
        }}
        templates={formTemplates}
        liveValidate
        noHtml5Validate
        showErrorList={false}
        extraErrors={refused.errors}
        transformErrors={errors => readable(errors, form)}
        onChange={event => setForm(event.formData as Values)}
      />
      {hasIntake(detail) && (
        <IntakePanel api={props.api} request={request} blocked={blocked} />
      )}
      <footer className="kl-footer">
        <p className="kl-told" aria-live="polite">
          {problem || told.bad ? (
            <strong className="kl-problem">{problem || told.text}</strong>
          ) : (
            told.text ||
            (blocked && !busy
              ? 'Some values need to be mended.'
              : `In the folder ${props.folder || '/'}`)
          )}
        </p>
        <button
          type="button"
          className="jp-mod-styled jp-mod-accept"
          disabled={blocked}
          onClick={() => void send(open)}
        >
          Open notebook
        </button>
        <button
          type="button"
          className="jp-mod-styled jp-mod-accept"
          disabled={blocked}
          onClick={() => void send(run)}
        >
          Run in the background
        </button>
        {schedule && (
          <button
            type="button"
            className="jp-mod-styled"
            disabled={blocked}
            onClick={() => void send(openJob)}
          >
            Schedule…
          </button>
        )}
      </footer>
    </form>
  );
}

function Presets(props: {
  detail: TemplateDetail;
  preset: string | null;
  onChoose: (name: string | null) => void;
}): JSX.Element | null {
  const { presets } = props.detail;
  if (presets.length === 0) {
    return null;
  }
  const chosen = presets.find(each => each.name === props.preset);
  return (
    <div className="kl-preset">
      <label htmlFor="kl-preset">Preset</label>
      <select
        id="kl-preset"
        value={props.preset ?? ''}
        aria-describedby="kl-preset-description"
        onChange={event => props.onChoose(event.target.value || null)}
      >
        <option value="">None: the defaults</option>
        {presets.map(each => (
          <option key={each.name} value={each.name}>
            {each.name}
          </option>
        ))}
      </select>
      <p className="kl-help" id="kl-preset-description">
        {chosen?.description}
      </p>
    </div>
  );
}

type Refused = {
  any: boolean;
  problem: string;
  errors: { [name: string]: { __errors: string[] } };
};

const NOTHING: Refused = { any: false, problem: '', errors: {} };

/** What the server, with the rules of the command line, says of values that look right here. */
function useServerCheck(
  props: FormProps,
  preset: string | null,
  values: Values,
  hasErrors: boolean
): Refused {
  const [refused, setRefused] = React.useState(NOTHING);
  const asked = JSON.stringify([preset, values, hasErrors]);
  React.useEffect(() => {
    let current = true;
    if (hasErrors) {
      setRefused(NOTHING);
      return;
    }
    const timer = window.setTimeout(() => {
      props.api
        .validate({ template: props.template, preset, values })
        .then(reply => {
          const errors = Object.fromEntries(
            Object.entries(reply.errors).map(([name, message]) => [
              name,
              { __errors: [message] }
            ])
          );
          const any =
            reply.problem !== '' || Object.keys(reply.errors).length > 0;
          if (current) {
            setRefused({ any, problem: reply.problem, errors });
          }
        })
        // The same check is made again before anything is written.
        .catch(() => undefined);
    }, CHECK_AFTER);
    return () => {
      current = false;
      window.clearTimeout(timer);
    };
  }, [asked]);
  return refused;
}

type Layout = UiSchema<ReadonlyJSONObject>;

function layoutOf(detail: TemplateDetail): Layout {
  const layout: Layout = {};
  for (const parameter of detail.parameters) {
    const nullable = parameter.type.endsWith('| None');
    const isText = /^(str|any)\b/.test(parameter.type);
    const options =
      isText && !nullable ? { emptyValue: '' } : { emptyValue: undefined };
    layout[parameter.name] = { 'ui:options': options };
    if (parameter.picker !== 'none') {
      layout[parameter.name]['ui:widget'] = Picker;
      layout[parameter.name]['ui:options'] = {
        ...options,
        kind: parameter.picker
      };
    }
  }
  return layout;
}
