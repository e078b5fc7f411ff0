/**
 * Sigstore's monitor configuration (sigstore/protobuf-specs 104df67, `dev.sigstore.monitor.v1.MonitorConfig`, proto3 JSON):
 * where monitors read logs. It has no media type and no keys: the origin of a log joins it with the trusted root.
 *
 *   { "rekorLogs" and "ctLogs": [ { "readUrl", "logOrigin", "majorApiVersion" } ] }
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { ClientError } from '../errors.ts';
import { array, int64, malformed, object, parseJson, string } from '../formats/json.ts';

/** Longest monitor configuration that is accepted, in bytes. */
export const MAX_MONITOR_CONFIG = 1024 * 1024;
const MAX_LOGS = 256;

/** One log (`TransparencyLogMonitorConfig`). */
export interface ReadLog {
  /** The base address for reading, http or https. The API version says where the files lie below it. */
  readonly readUrl: string;
  /** The first line of the log's checkpoints. */
  readonly logOrigin: string;
  /** 0 for a log that is not released. */
  readonly majorApiVersion: number;
}

/** Which logs a monitor reads. The settings of `stele monitor` are something else (monitor/config). */
export interface MonitoredLogs {
  readonly rekorLogs: readonly ReadLog[];
  /** Certificate-transparency logs. */
  readonly ctLogs: readonly ReadLog[];
}

/** @throws ClientError `monitor-config`; the message names the field */
export function parseMonitoredLogs(file: Uint8Array): MonitoredLogs {
  try {
    const config = object(parseJson(file, 'the file', MAX_MONITOR_CONFIG), 'the file', ['rekorLogs', 'ctLogs']);
    const logs = (name: string) =>
      array(config[name], name, MAX_LOGS).map((value, at) => readLog(value, `${name}[${at}]`));
    return { rekorLogs: logs('rekorLogs'), ctLogs: logs('ctLogs') };
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const why = `the monitor configuration cannot be used: ${cause.message}`;
    throw new ClientError('monitor-config', why, { cause });
  }
}

function readLog(value: unknown, path: string): ReadLog {
  const log = object(value, path, ['readUrl', 'logOrigin', 'majorApiVersion']);
  const readUrl = string(log.readUrl, `${path}.readUrl`);
  if (!URL.canParse(readUrl) || !/^https?:$/.test(new URL(readUrl).protocol)) {
    throw malformed(`${path}.readUrl`, 'is not an http or https URL');
  }
  const logOrigin = string(log.logOrigin, `${path}.logOrigin`);
  if (logOrigin === '' || /[\n\r]/.test(logOrigin)) throw malformed(`${path}.logOrigin`, 'is not the origin of a log');
  return { readUrl, logOrigin, majorApiVersion: int64(log.majorApiVersion, `${path}.majorApiVersion`) };
}

/** UTF-8 JSON, which `parseMonitoredLogs` reads again. */
export function formatMonitoredLogs({ rekorLogs, ctLogs }: MonitoredLogs): Uint8Array {
  return encodeUtf8(`${JSON.stringify({ rekorLogs, ctLogs }, undefined, 2)}\n`);
}
