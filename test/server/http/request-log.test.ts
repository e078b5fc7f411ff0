/** `log.requests`: one line for each request, and nothing that a client sends acts on the operator's terminal. */
import { expect, it, onTestFinished } from 'vitest';
import { LOG_FORMATS, makeLogger } from '../../../merkle/runtime/service/logger.ts';
import { MemoryLog } from '../../support/memory-log.ts';
import { appOver, dial, listen } from './support.ts';

it.each(LOG_FORMATS.filter((format) => format !== 'auto'))('as %s', async (format) => {
  const lines: string[] = [];
  const logger = makeLogger({ level: 'info', format }, { isTTY: true, write: (line) => lines.push(line) });
  const { app } = appOver(new MemoryLog(), { log: { requests: true } }, logger);
  onTestFinished(() => app.close());
  const { port } = await listen(app);
  // Bytes of a header that Node takes: the C1 controls, and the right-to-left override in UTF-8.
  const { socket, closed } = await dial(port);
  const head = ['GET /a%1b%0a HTTP/1.1', 'Host: localhost', 'User-Agent: x\u009b2J\u0085\u00e2\u0080\u00ae'];
  socket.write([...head, 'Authorization: Bearer secret-1', 'Connection: close', '', ''].join('\r\n'), 'latin1');
  expect(await closed).toMatch(/^HTTP\/1\.1 404/);
  expect(lines).toHaveLength(1);
  for (const line of lines) {
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(line).toMatch(/\\u009b2J/);
    expect(line).toMatch(/404/);
    expect(line).toMatch(/127\.0\.0\.1/);
    expect(line).not.toContain('secret-1');
  }
});
