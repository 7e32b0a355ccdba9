/** Two or more results side by side: which rows there are, and where they differ. */

export type Row = { name: string; values: (string | null)[]; differs: boolean };

/** Rows by name, one value for each column; a row differs if its values are not all equal. */
export function sideBySide(
  columns: { name: string; value: string }[][]
): Row[] {
  const names = [...new Set(columns.flat().map(each => each.name))];
  return names.map(name => {
    const values = columns.map(
      column => column.find(each => each.name === name)?.value ?? null
    );
    return { name, values, differs: new Set(values).size > 1 };
  });
}

export type ScoreRow = {
  name: string;
  values: (number | null)[];
  /** Against the first column. */
  differences: (number | null)[];
};

/** Scores by name, with the difference of each column to the first. */
export function scoreRows(
  columns: { [name: string]: number | null }[]
): ScoreRow[] {
  const names = [...new Set(columns.flatMap(each => Object.keys(each)))];
  return names.map(name => {
    const values = columns.map(each => each[name] ?? null);
    const first = values[0] ?? null;
    const differences = values.map(value =>
      value === null || first === null ? null : value - first
    );
    return { name, values, differences };
  });
}

/** A number with four digits that count; a dash for none. */
export function shown(value: number | null): string {
  return value === null ? '–' : String(Number(value.toPrecision(4)));
}

/** A difference with its sign; nothing for none. */
export function shownDifference(value: number | null): string {
  if (value === null) {
    return '';
  }
  const text = String(Number(Math.abs(value).toPrecision(3)));
  return Number(text) === 0 ? '±0' : `${value > 0 ? '+' : '−'}${text}`;
}

/** Seconds as `m:ss`, or `h:mm:ss`. */
export function clock(seconds: number | null): string {
  if (seconds === null) {
    return '';
  }
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0
    ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}`
    : `${minutes}:${rest}`;
}

/** A moment as short as the reader can use it. */
export function moment(text: string): string {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? text
    : date.toLocaleString(undefined, {
        dateStyle: 'medium',
        timeStyle: 'short'
      });
}

/** What a terminal would show of a log in the end: bars that renew themselves count once. */
export function lasting(log: string): string {
  return log
    .split('\n')
    .map(line => {
      const whole = line.replace(/\r+$/, '');
      return whole.slice(whole.lastIndexOf('\r') + 1);
    })
    .join('\n');
}
