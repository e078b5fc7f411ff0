/** The verifiable index as a part of the service: a map for each log that `maps` names. */
import { join } from 'node:path';
import { encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { parseOutputLeaf } from '../../merkle/index/map-leaf.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { type Outgoing, openConfiguredOutgoing } from '../../merkle/runtime/identity/outgoing.ts';
import { openSource } from '../tiles/tiles.ts';
import type { IndexPart, PartContext } from './index-parts.ts';
import type { MapConfig } from './map/map-config.ts';
import { MapMetrics } from './map/map-metrics.ts';
import { lookupRoute } from './map/map-routes.ts';
import type { MapEvent, MapStatus } from './map/map-types.ts';
import { MappedLog } from './map/mapped-log.ts';
import { mayOthersWrite } from './map/output-writers.ts';

/** @throws ClientError `state`: a map is damaged or of another log; RuntimeError `locked`, `store`, `file` and those of `outgoing` */
export async function openMapPart(context: PartContext): Promise<IndexPart> {
  const { config, metrics, logger, clients, turns } = context;
  const opened: OpenedMap[] = [];
  const close = async () => {
    for (const { map, outgoing } of opened) {
      await map.close();
      await outgoing?.close();
    }
  };
  try {
    for (const one of config.maps) opened.push(await openOne(one, context));
  } catch (error) {
    await close();
    throw error;
  }
  const states = () => opened.map(({ map }) => map.status);
  const measured = new MapMetrics(metrics, states);
  const maps = new Map(opened.map(({ map, config: { input } }) => [input.origin, map]));
  const { maxLag } = config.readiness;
  const started = Date.now();
  return {
    name: 'map',
    routes: [lookupRoute({ maps, clients, turns, observe: (result) => measured.lookup(result) })],
    about: ['GET  /stele/v1/lookup      all entries with a key, or that there is none, with a proof of both'],
    describe: () => opened.map(({ map, config: one }) => described(map.status, one)),
    run: async (signal) => {
      await Promise.all(opened.flatMap((one) => [one.map.run(signal), warnOfWriters(one, signal)]));
    },
    notReady: () => states().flatMap((status) => lateReasons(status, started, maxLag)),
    alarms: () => [...states().flatMap(alarmsOf), ...opened.flatMap(({ outgoing }) => outgoing?.problems() ?? [])],
    close,
  };

  async function openOne(one: MapConfig, { dir, open, fetch }: PartContext): Promise<OpenedMap> {
    const { input, output, rebuilders, intervalMs } = one;
    const outgoing = await openConfiguredOutgoing(one.outgoing, logger);
    const send = outgoing?.pool.fetch ?? fetch;
    try {
      const map = await MappedLog.open({
        input,
        output,
        ...(rebuilders && { rebuilders }),
        dir: join(dir, encodeHex(fastSha256(encodeUtf8(input.origin)))),
        threads: config.threads,
        open: (location) =>
          location === output.location ? openSource(location, { retries: 1, fetch: send }) : open(location),
        settings: config.reading,
        pollMs: config.reading.pollMs,
        retryMs: config.reading.retryMs,
        intervalMs,
        ...(send && { fetch: send }),
        onEvent: (event) => report(input.origin, event),
      });
      return { map, config: one, outgoing };
    } catch (error) {
      await outgoing?.close();
      throw error;
    }
  }

  async function warnOfWriters({ config: one, outgoing }: OpenedMap, signal: AbortSignal): Promise<void> {
    const send = outgoing?.pool.fetch ?? context.fetch;
    if (!(await mayOthersWrite(one.output.location, { signal, ...(send && { fetch: send }) }))) return;
    logger.warn(
      { log: one.input.origin, outputLog: one.output.origin },
      'the output log takes entries of everybody: one of them ends the cosignatures of every rebuilder for good. Let it require an identity (identity.access of the log), and let that of this index alone write',
    );
  }

  function report(log: string, event: MapEvent): void {
    switch (event.type) {
      case 'published':
        logger.info(
          { log, size: event.size, leaf: event.index, keys: event.keys },
          'a version of the map is published',
        );
        break;
      case 'late':
        logger.warn({ log, size: event.size, missing: event.missing }, 'a version of the map lacks rebuilders');
        break;
      case 'halted':
        logger.error({ log, reason: event.message }, 'the map goes no further');
        break;
      case 'fault':
        if (event.attempt === 1) logger.warn({ log, reason: event.message }, 'the map cannot go on now');
        break;
      case 'recovered':
        logger.info({ log }, 'the map goes on');
    }
  }
}

interface OpenedMap {
  readonly map: MappedLog;
  readonly config: MapConfig;
  readonly outgoing: Outgoing | undefined;
}

/** For everybody: locations and the texts of faults do not leave. */
function described(
  { log, published, publishedAt, taken, accepted, rebuilders, late, halted }: MapStatus,
  { output }: MapConfig,
) {
  return {
    log,
    outputLog: { origin: output.origin, url: output.location },
    taken,
    accepted,
    ...(published && {
      size: published.size,
      keys: published.keys,
      leaf: published.index,
      root: toBase64(parseOutputLeaf(published.leaf).root),
      checkpoint: published.checkpoint,
    }),
    ...(publishedAt !== undefined && { published: new Date(publishedAt).toISOString() }),
    rebuilders: rebuilders.map(({ name, size, trouble }) => ({
      name,
      ...(size !== undefined && { size }),
      late: trouble !== undefined,
    })),
    late,
    halted: halted !== undefined,
  };
}

function lateReasons(
  { log, published, accepted, halted, fault, followed }: MapStatus,
  started: number,
  maxLag: number,
): string[] {
  if (halted !== undefined) return [`the map of ${log} goes no further: ${halted}`];
  // A log without entries has no version.
  if (published === undefined && accepted === 0 && followed > 0) return [];
  if (published === undefined)
    return [`no version of the map of ${log} is published yet${fault === undefined ? '' : `: ${fault}`}`];
  const late = Date.now() - Math.max(followed, started);
  if (late <= maxLag) return [];
  return [
    `the map of ${log} has no new version for ${Math.floor(late / 1000)} s: ${fault ?? 'a version is on its way'}`,
  ];
}

function alarmsOf({ log, late, rebuilders, fault }: MapStatus): string[] {
  const missing = rebuilders.flatMap(({ name, trouble }) => (trouble === undefined ? [] : [`${name} ${trouble}`]));
  return [
    ...(late
      ? [`the map of ${log} lacks the quorum of its rebuilders: ${missing.join('; ') || 'they were not asked yet'}`]
      : []),
    ...(fault === undefined ? [] : [`the map of ${log} cannot go on now: ${fault}`]),
  ];
}
