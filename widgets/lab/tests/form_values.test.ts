import type { RJSFValidationError } from '@rjsf/utils';
import { describe, expect, it } from 'vitest';

import type { TemplateDetail } from '../src/api_types';
import {
  baseValues,
  formSchema,
  fromForm,
  readable,
  titleOf,
  toForm
} from '../src/form_values';

const DETAIL: TemplateDetail = {
  summary: {
    name: 'small',
    title: 'Small',
    description: '',
    presets: ['ci'],
    num_parameters: 6,
    built_in: true
  },
  parameters: [],
  schema: {
    type: 'object',
    required: ['path'],
    properties: {
      path: { type: 'string' },
      num_images: { type: 'integer', minimum: 1, default: 100 },
      rate: { type: 'number', default: 0, title: 'Share' },
      size: { type: ['integer', 'null'], default: null },
      layers: {
        type: ['array', 'null'],
        items: { type: 'string' },
        default: ['a']
      },
      extra: { default: [1, 'x'] }
    }
  },
  presets: [
    { name: 'ci', description: '', values: { num_images: 6 }, problem: '' }
  ]
};

describe('the schema of the form', () => {
  const schema = formSchema(DETAIL);

  it('asks only for what may not be empty', () => {
    expect(schema.required).toEqual(['path', 'num_images', 'rate']);
  });

  it('names fields, and gives each a type', () => {
    const titles = Object.values(schema.properties ?? {}).map(
      each => (each as { title: string }).title
    );
    expect(titles).toEqual([
      'Path',
      'Num images',
      'Share',
      'Size',
      'Layers',
      'Extra'
    ]);
    expect(schema.properties?.extra).toEqual({
      type: 'string',
      title: 'Extra'
    });
  });

  it('holds no defaults, which would fill what one empties', () => {
    expect(JSON.stringify(schema)).not.toContain('default');
  });
});

describe('values', () => {
  const base = baseValues(DETAIL, 'ci');

  it('begin with the defaults and the preset', () => {
    expect(base).toEqual({
      num_images: 6,
      rate: 0,
      size: null,
      layers: ['a'],
      extra: [1, 'x']
    });
    expect(toForm(DETAIL, base)).toEqual({
      num_images: 6,
      rate: 0,
      layers: ['a'],
      extra: '[1,"x"]'
    });
  });

  it('that nobody touched are not sent', () => {
    expect(fromForm(DETAIL, toForm(DETAIL, base), base)).toEqual({});
  });

  it('that go back to the default against the preset are sent', () => {
    const form = { ...toForm(DETAIL, base), num_images: 100, path: 'p' };
    expect(fromForm(DETAIL, form, base)).toEqual({
      num_images: 100,
      path: 'p'
    });
  });

  it('that are emptied become nothing where that is a value', () => {
    const form = { ...toForm(DETAIL, base), layers: undefined };
    expect(fromForm(DETAIL, form, base)).toEqual({ layers: null });
    const cleared = { ...form, layers: [] };
    expect(fromForm(DETAIL, cleared, base)).toEqual({ layers: null });
    expect(fromForm(DETAIL, cleared, { ...base, layers: null })).toEqual({});
    expect(fromForm(DETAIL, cleared, { ...base, layers: [] })).toEqual({});
  });

  it('that may be anything are JSON, or else text', () => {
    const form = { ...toForm(DETAIL, base), extra: '{"a' };
    expect(fromForm(DETAIL, form, base)).toEqual({ extra: '{"a' });
    expect(fromForm(DETAIL, { ...form, extra: '2.5' }, base)).toEqual({
      extra: 2.5
    });
  });
});

describe('messages', () => {
  const form = { rate: 2, num_images: 'many', layers: ['a', 3], mode: 'c' };
  const say = (
    name: string,
    property: string,
    params: object
  ): string | undefined =>
    readable(
      [{ name, property, params, stack: '' } as RJSFValidationError],
      form
    )[0]?.message;

  it('are those of the command line', () => {
    expect(say('maximum', '.rate', { limit: 1 })).toBe(
      '`rate` must be at most 1. Received: rate=2.'
    );
    expect(say('type', '.num_images', { type: 'integer' })).toBe(
      '`num_images` must be a whole number. Received: num_images="many".'
    );
    expect(say('type', '.layers.1', { type: ['string', 'null'] })).toBe(
      '`layers` must be text or nothing. Received: layers=3.'
    );
    expect(say('enum', '.mode', { allowedValues: ['a', 'b', null] })).toBe(
      "`mode` must be one of 'a', 'b'. Received: mode=\"c\"."
    );
    expect(say('required', '', { missingProperty: 'path' })).toBe(
      '`path` needs a value.'
    );
  });

  it('do not repeat themselves', () => {
    expect(say('anyOf', '.rate', {})).toBeUndefined();
  });
});

it('makes titles of names', () => {
  expect(titleOf('num_images')).toBe('Num images');
  expect(titleOf('_x__y')).toBe('X y');
});
