/** nginx of Debian as a child process: with a plain static root, or with the configuration of deploy/nginx before a log. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join, resolve } from 'node:path';

export interface Nginx {
  readonly child: ChildProcess;
  readonly url: string;
}

/** nginx on the files in `root`, as fast as it serves files. It keeps its own files in `dir`. */
export function startPlainNginx(dir: string, root: string): Promise<Nginx> {
  return startNginx(
    dir,
    (port) => `
access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000; open_file_cache max=10000;
types {} default_type application/octet-stream;
server { listen 127.0.0.1:${port}; root ${root}; }
`,
  );
}

/**
 * nginx as deploy/nginx configures it, but for TLS, before the log of the data directory `data` that listens at `stele`.
 * @param changes further replacements in the configuration
 */
export function startNginxBefore(
  dir: string,
  stele: string,
  data: string,
  changes: readonly (readonly [string, string])[] = [],
): Promise<Nginx> {
  const file = resolve('deploy/nginx/stele.conf');
  return startNginx(dir, (port) => {
    let text = readFileSync(file, 'utf8');
    const replace = (from: string | RegExp, to: string) => {
      const changed = text.replace(from, () => to);
      if (changed === text) throw new Error(`${file} has no ${from}`);
      text = changed;
    };
    replace('127.0.0.1:3000', new URL(stele).host);
    replace('/var/lib/stele/public', join(data, 'public'));
    replace('/var/lib/nginx/stele', join(dir, 'cache'));
    replace('    listen 443 ssl;\n    listen [::]:443 ssl;\n', `    listen 127.0.0.1:${port};\n`);
    replace(/^ +ssl_[\s\S]*?^$/m, `    root ${join(data, 'public')};\n`);
    for (const [from, to] of changes) replace(from, to);
    return text;
  });
}

/** nginx as deploy/nginx/stele-explorer.conf configures it, but for TLS, for the explorer in `root` that `stele explorer` wrote. */
export function startNginxExplorer(dir: string, root: string): Promise<Nginx> {
  const file = resolve('deploy/nginx/stele-explorer.conf');
  return startNginx(
    dir,
    (port) => {
      let text = readFileSync(file, 'utf8');
      const replace = (from: string | RegExp, to: string) => {
        const changed = text.replaceAll(from, () => to);
        if (changed === text) throw new Error(`${file} has no ${from}`);
        text = changed;
      };
      replace('/srv/explorer', root);
      replace('include mime.types', 'include /etc/nginx/mime.types');
      replace('    listen 443 ssl;\n    listen [::]:443 ssl;\n', `    listen 127.0.0.1:${port};\n`);
      replace(/^ +ssl_.*\n/gm, '');
      return text;
    },
    '/',
  );
}

async function startNginx(dir: string, http: (port: number) => string, first = '/checkpoint'): Promise<Nginx> {
  const port = await freePort();
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${dir}/${name};`,
  );
  writeFileSync(
    file,
    // If nginx starts as root, its workers run as a user who may not read the files.
    `${process.getuid?.() === 0 ? 'user root; ' : ''}daemon off; worker_processes auto; pid ${dir}/pid; error_log ${dir}/error.log;
events { worker_connections 1024; }
http {
${temporary.join('\n')}
${http(port)}
}
`,
  );
  const child = spawn('nginx', ['-c', file, '-e', join(dir, 'error.log')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const url = `http://127.0.0.1:${port}`;
  for (let i = 0; i < 200 && child.exitCode === null; i++) {
    const reply = await fetch(`${url}${first}`).catch(() => undefined);
    await reply?.arrayBuffer();
    if (reply?.status === 200) return { child, url };
    await new Promise((done) => setTimeout(done, 50));
  }
  child.kill('SIGKILL');
  throw new Error(`nginx did not answer: ${said}`);
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    }),
  );
}
