// Takes the lock of the directory in argv, notifies its parent, and holds the lock until it is killed. Runs the built sources.
import { spawn } from 'node:child_process';
import { lockDir } from '../../dist/merkle/runtime/disk/lock.js';

try {
  const warnings = [];
  await lockDir(process.argv[2], (warning) => warnings.push(warning));
  // A program that outlives this process, where the test asks for one.
  const program = process.argv[3] && spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  process.send({ held: true, warnings, ...(program && { program: program.pid }) });
  setInterval(() => {}, 60_000);
} catch (error) {
  process.send({ code: error.code, message: error.message });
  process.disconnect();
}
