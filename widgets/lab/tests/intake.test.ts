import { describe, expect, it } from 'vitest';

import type { TemplateDetail, TemplateParameter } from '../src/api_types';
import { hasIntake, isStale, keyOf } from '../src/intake';

function detail(...pickers: TemplateParameter['picker'][]): TemplateDetail {
  return {
    summary: {
      name: 'a',
      title: 'A',
      description: '',
      presets: [],
      num_parameters: pickers.length,
      built_in: true
    },
    parameters: pickers.map((picker, index) => ({
      name: `p${index}`,
      type: 'str',
      help: '',
      default: '',
      picker
    })),
    schema: {},
    presets: []
  };
}

function request(values: { [name: string]: unknown }): {
  template: string;
  preset: string | null;
  values: { [name: string]: unknown };
  folder: string;
} {
  return { template: 'a', preset: null, values, folder: 'f' };
}

describe('a template', () => {
  it('has an intake if it names both a model and images', () => {
    expect(hasIntake(detail('none', 'model', 'data'))).toBe(true);
    expect(hasIntake(detail('none', 'data'))).toBe(false);
    expect(hasIntake(detail('model'))).toBe(false);
    expect(hasIntake(detail())).toBe(false);
  });
});

describe('what was said', () => {
  it('no longer holds once a value has changed', () => {
    const asked = request({ model: 'a.keras', class_names: ['x'] });
    const failed = {
      kind: 'failed' as const,
      asked: keyOf(asked),
      problem: ''
    };
    expect(isStale(failed, asked)).toBe(false);
    expect(isStale(failed, request({ model: 'b.keras' }))).toBe(true);
    expect(isStale(failed, { ...asked, folder: 'g' })).toBe(true);
    expect(isStale({ kind: 'not yet' }, asked)).toBe(false);
  });
});
