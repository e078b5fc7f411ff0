// Takes the lock of the directory in argv, notifies its parent, and holds the lock until it is killed. Runs the built sources.
import { lockDir } from '../../dist/merkle/runtime/disk/lock.js';

try {
  await lockDir(process.argv[2], { admin: 'http://127.0.0.1:9' });
  process.send({ held: true });
  setInterval(() => {}, 60_000);
} catch (error) {
  process.send({ code: error.code, message: error.message });
  process.disconnect();
}
