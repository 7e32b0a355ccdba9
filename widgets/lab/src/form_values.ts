/** Between what a template declares, what a form holds, and what the server is told. */
import type { RJSFSchema, RJSFValidationError } from '@rjsf/utils';

import type { TemplateDetail } from './api_types';

export type Values = { [name: string]: unknown };

type ValueSchema = {
  type?: string | string[];
  enum?: unknown[];
  items?: ValueSchema;
  default?: unknown;
  title?: string;
  description?: string;
  [key: string]: unknown;
};

/** The schema of each parameter. */
export function propertiesOf(detail: TemplateDetail): {
  [name: string]: ValueSchema;
} {
  return (detail.schema.properties ?? {}) as { [name: string]: ValueSchema };
}

/** Whether nothing is a value too. */
export function isNullable(schema: ValueSchema): boolean {
  return Array.isArray(schema.type) && schema.type.includes('null');
}

/** Whether any value will do; the form shows it as JSON or text. */
export function isAnything(schema: ValueSchema): boolean {
  return schema.type === undefined && schema.enum === undefined;
}

/** The schema for the form: names as titles, and no field without a type. */
export function formSchema(detail: TemplateDetail): RJSFSchema {
  const properties: { [name: string]: ValueSchema } = {};
  const required: string[] = [];
  const needed = (detail.schema.required ?? []) as string[];
  for (const [name, schema] of Object.entries(propertiesOf(detail))) {
    // Defaults stay out: an emptied field must stay empty while one types. A choice with a
    // default cannot be emptied.
    const { default: preset, ...rest } = schema;
    const typed = withTypes(rest);
    properties[name] = { ...typed, title: schema.title ?? titleOf(name) };
    if (schema.enum && !isNullable(schema) && preset !== undefined) {
      properties[name].default = preset;
    }
    const given = preset !== undefined && !isAnything(schema);
    if (needed.includes(name) || (given && !isNullable(schema))) {
      required.push(name);
    }
  }
  return { type: 'object', properties, required } as RJSFSchema;
}

/** `num_images` as `Num images`. */
export function titleOf(name: string): string {
  const words = name.replace(/_+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The defaults, with the values of a preset over them. */
export function baseValues(
  detail: TemplateDetail,
  preset: string | null
): Values {
  const values: Values = {};
  for (const [name, schema] of Object.entries(propertiesOf(detail))) {
    if (schema.default !== undefined) {
      values[name] = schema.default;
    }
  }
  const chosen = detail.presets.find(each => each.name === preset);
  return { ...values, ...chosen?.values };
}

/** Values as the form holds them: what may be anything is text, nothing is no key. */
export function toForm(detail: TemplateDetail, values: Values): Values {
  const form: Values = {};
  for (const [name, schema] of Object.entries(propertiesOf(detail))) {
    const value = values[name];
    if (value !== undefined && value !== null) {
      form[name] = isAnything(schema) ? asText(value) : value;
    }
  }
  return form;
}

/** The values that differ from `base`, as the server wants them. */
export function fromForm(
  detail: TemplateDetail,
  form: Values,
  base: Values
): Values {
  const values: Values = {};
  for (const [name, schema] of Object.entries(propertiesOf(detail))) {
    let value = form[name];
    if (isAnything(schema) && typeof value === 'string') {
      value = fromText(value);
    }
    const known = base[name] ?? (isNullable(schema) ? null : undefined);
    // The form makes an empty list of nothing.
    const empty = value === undefined || same(value, []);
    if (empty && isNullable(schema) && !same(value, known)) {
      value = null;
    }
    if (value !== undefined && !same(value, known)) {
      values[name] = value;
    }
  }
  return values;
}

/** The messages of the form's own check, in the words of the command line. */
export function readable(
  errors: RJSFValidationError[],
  form: Values
): RJSFValidationError[] {
  return errors
    .filter(error => error.name !== 'anyOf' && error.name !== 'oneOf')
    .map(error => {
      const message = sentence(error, form);
      return { ...error, message, stack: message };
    });
}

function sentence(error: RJSFValidationError, form: Values): string {
  const params = (error.params ?? {}) as {
    limit?: number;
    type?: string | string[];
    allowedValues?: unknown[];
  };
  const [name, index] = placeOf(error);
  const value = index === null ? form[name] : (form[name] as unknown[])[index];
  const received = `Received: ${name}=${JSON.stringify(value) ?? 'nothing'}.`;
  switch (error.name) {
    case 'minimum':
      return `\`${name}\` must be at least ${params.limit}. ${received}`;
    case 'maximum':
      return `\`${name}\` must be at most ${params.limit}. ${received}`;
    case 'enum':
      return `\`${name}\` must be one of ${listed(params.allowedValues ?? [])}. ${received}`;
    case 'type':
      return `\`${name}\` must be ${inWords(params.type)}. ${received}`;
    case 'required':
      return `\`${name}\` needs a value.`;
    default:
      return error.message ?? 'This value cannot be taken.';
  }
}

function placeOf(error: RJSFValidationError): [string, number | null] {
  const missing = (error.params as { missingProperty?: string } | undefined)
    ?.missingProperty;
  if (missing) {
    return [missing, null];
  }
  const [name = '', index] = (error.property ?? '')
    .split('.')
    .filter(part => part !== '');
  return [name, index === undefined ? null : Number(index)];
}

const WORDS: { [type: string]: string } = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  null: 'nothing'
};

function inWords(type: string | string[] | undefined): string {
  const types = typeof type === 'string' ? type.split(',') : (type ?? []);
  return types.map(each => WORDS[each] ?? each).join(' or ');
}

function listed(values: unknown[]): string {
  return values
    .filter(value => value !== null)
    .map(value => `'${String(value)}'`)
    .join(', ');
}

function withTypes(schema: ValueSchema): ValueSchema {
  if (schema.items) {
    return { ...schema, items: withTypes(schema.items) };
  }
  return isAnything(schema) ? { ...schema, type: 'string' } : schema;
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function fromText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
