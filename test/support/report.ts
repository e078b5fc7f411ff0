/**
 * Reporters of a vitest run: with TEST_REPORT=FILE also a JSON report, from which `.ci/run` counts. (Not STELE_…: those
 * are settings, and a server that a test starts would refuse one that it does not know.)
 */
export function reporting(): { reporters: string[]; outputFile?: { json: string } } {
  const file = process.env.TEST_REPORT;
  return file === undefined
    ? { reporters: ['default'] }
    : { reporters: ['default', 'json'], outputFile: { json: file } };
}
