/** Runs one audit in a separate process, so that the measured memory and processor time are those of the audit alone. */
import { auditLog } from '../../client/audit/audit.ts';

const [dir = '', signatures] = process.argv.slice(2);
const [start, before] = [performance.now(), process.cpuUsage()];
const report = await auditLog(dir, { signatures: signatures === 'true' });
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(before);
const whole = process.cpuUsage();
if (report.corruption !== undefined) throw new Error(report.corruption.message);
console.log(
  JSON.stringify({
    seconds,
    cpu: (user + system) / 1e6,
    wholeCpu: (whole.user + whole.system) / 1e6,
    peakMemory: process.resourceUsage().maxRSS / 1024,
    entries: report.entries,
    verified: report.signatures?.verified,
  }),
);
