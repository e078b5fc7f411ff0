/** Reporters of a vitest run: with STELE_TEST_REPORT=FILE also a JSON report, from which `.ci/run` counts. */
export function reporting(): { reporters: string[]; outputFile?: { json: string } } {
  const file = process.env.STELE_TEST_REPORT;
  return file === undefined
    ? { reporters: ['default'] }
    : { reporters: ['default', 'json'], outputFile: { json: file } };
}
