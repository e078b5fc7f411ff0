/** The operator's log of a service: JSON lines on stderr. */
import { type Logger as PinoLogger, pino } from 'pino';

/** The part of pino's logger that is used. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** @param sync each line is written before the call returns, for commands that end soon */
export function makeLogger(level: string, sync = false): PinoLogger {
  return pino({ level }, pino.destination({ fd: 2, sync }));
}
