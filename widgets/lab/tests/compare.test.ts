import { describe, expect, it } from 'vitest';

import {
  clock,
  lasting,
  moment,
  scoreRows,
  shown,
  shownDifference,
  sideBySide
} from '../src/compare';

describe('rows side by side', () => {
  it('differ where a value differs or is missing', () => {
    const rows = sideBySide([
      [
        { name: 'seed', value: '0' },
        { name: 'epochs', value: '5' }
      ],
      [
        { name: 'seed', value: '1' },
        { name: 'epochs', value: '5' },
        { name: 'more', value: 'x' }
      ]
    ]);
    expect(rows).toEqual([
      { name: 'seed', values: ['0', '1'], differs: true },
      { name: 'epochs', values: ['5', '5'], differs: false },
      { name: 'more', values: [null, 'x'], differs: true }
    ]);
  });

  it('never differ in one column', () => {
    const rows = sideBySide([[{ name: 'seed', value: '0' }]]);
    expect(rows[0]?.differs).toBe(false);
  });
});

it('scores are held against the first column', () => {
  expect(
    scoreRows([
      { a: 0.5, b: null },
      { a: 0.75, c: 1 }
    ])
  ).toEqual([
    { name: 'a', values: [0.5, 0.75], differences: [0, 0.25] },
    { name: 'b', values: [null, null], differences: [null, null] },
    { name: 'c', values: [null, 1], differences: [null, null] }
  ]);
});

it('numbers are short', () => {
  expect(shown(0.123456)).toBe('0.1235');
  expect(shown(null)).toBe('–');
  expect(shownDifference(0.25)).toBe('+0.25');
  expect(shownDifference(-0.1 - 0.2)).toBe('−0.3');
  expect(shownDifference(0)).toBe('±0');
  expect(shownDifference(null)).toBe('');
});

it('times are short', () => {
  expect(clock(null)).toBe('');
  expect(clock(61.4)).toBe('1:01');
  expect(clock(3725)).toBe('1:02:05');
  expect(moment('not a time')).toBe('not a time');
});

it('a bar that renews itself counts once', () => {
  expect(lasting('one\n  0%\r 50%\r100%\r\ntwo\r\n')).toBe('one\n100%\ntwo\n');
});
