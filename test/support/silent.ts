import { makeLogger } from '../../merkle/runtime/service/logger.ts';

/** For services whose log the test does not read; STELE_TEST_LOG shows it from that level on. */
export const silent = makeLogger({ level: (process.env.STELE_TEST_LOG ?? 'silent') as 'silent' });
