/**
 * Reporters of a vitest run. With TEST_REPORT=FILE, vitest also writes a JSON report, which `.ci/run` counts. (The name does
 * not start with STELE_, because a server that a test starts refuses unknown settings.)
 */
export function reporting(): { reporters: string[]; outputFile?: { json: string } } {
  const file = process.env.TEST_REPORT;
  return file === undefined
    ? { reporters: ['default'] }
    : { reporters: ['default', 'json'], outputFile: { json: file } };
}
