/** The operator's log of a service: JSON lines on stderr. */
import type { FastifyBaseLogger } from 'fastify';
import { pino } from 'pino';

/** The part of pino's logger that is used. */
export type Logger = FastifyBaseLogger;

/** @param sync each line is written before the call returns, for commands that end soon */
export function makeLogger(level: string, sync = false): Logger {
  return pino({ level }, pino.destination({ fd: 2, sync }));
}
