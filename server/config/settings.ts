/** The settings of the log: the leaves of its schema. */
import { type Setting, settingsOf } from '../../merkle/runtime/config/settings.ts';
import { ConfigSchema } from './schema.ts';

export { defaultText, placeholder, type Setting } from '../../merkle/runtime/config/settings.ts';

/** All settings, in the order of the schema. */
export const SETTINGS: readonly Setting[] = settingsOf(ConfigSchema, 'STELE_');
