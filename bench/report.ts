/** The output of the benchmarks: the machine, and tables of text. */
import { cpus, release, totalmem } from 'node:os';

/** The machine as bench/RESULTS.md names it, without anything that identifies its owner. */
export function machine() {
  const processors = cpus();
  return {
    node: process.version,
    kernel: release().split('-', 1)[0],
    arch: process.arch,
    cores: processors.length,
    processor: processors[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    date: new Date().toISOString(),
  };
}

export type Row = Readonly<Record<string, string | number>>;

/** A Markdown table. Cells that look like numbers are aligned to the right. */
export function table(rows: readonly Row[]): string {
  const names = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => names.map((name) => String(row[name] ?? '')));
  const widths = names.map((name, at) => Math.max(name.length, ...cells.map((row) => row[at]!.length), 3));
  const right = names.map((_, at) => cells.every((row) => /^[-\d]/.test(row[at]!)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, at) => (right[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, at) => (right[at] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`;
  return [line(names), rule, ...cells.map(line)].join('\n');
}

/** A number with three significant digits. */
export function round(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** The median; for an even number of values the larger one in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
