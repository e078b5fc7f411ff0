/**
 * The public files of a log in the layout of c2sp.org/tlog-tiles (C2SP 1cd32db, 2026-02-05), over HTTP or in a directory.
 *
 *   <source>/checkpoint
 *   <source>/checkpoint.plain     of a frozen log (docs/wire.md)
 *   <source>/tile/<L>/<N>[.p/<W>]
 *   <source>/tile/entries/<N>[.p/<W>]
 *
 * A source checks the length of each file and nothing else. The caller checks whether a hash or a checkpoint is right.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { logFiles } from './http-files.ts';
import { directoryFiles } from './store/directory.ts';
import { sourceOf } from './tile-source.ts';
import type { SourceOptions, TileSource } from './types.ts';

/**
 * Opens the log at `location`: an http or https URL (the files are there, or below Rekor's `/api/v2`), a `file:` URL, or a
 * directory. The directory holds `checkpoint` and `tile/`, or is the data directory of a Stele log, which has the public
 * files in `public/`.
 *
 * The calls of the source reject with ClientError:
 * - `missing`: the file is not there, nor the wider one that it could be cut from;
 * - `corrupt`: its length is impossible;
 * - `unsupported`: it is a certificate-transparency log, which keeps its entries elsewhere;
 * - `file`: it cannot be read;
 * - `network`, `unavailable`: the log does not answer, or answers that it cannot now, in each attempt;
 * - `refused`, `bad-reply`: the answer is not a file. A redirect is not followed;
 * - `cancelled`: the signal aborted.
 *
 * @throws ClientError `usage`: the location is neither a URL nor a directory
 */
export function openSource(location: string, options: SourceOptions = {}): TileSource {
  if (/^https?:/i.test(location)) return sourceOf(logFiles(parseLogUrl(location), options));
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location) && !/^file:/i.test(location)) {
    throw new ClientError('usage', `"${printable(location)}" is neither an http or https URL nor a directory`);
  }
  return sourceOf(directoryFiles(location));
}
