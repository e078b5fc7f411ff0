/** The attack of hostile-log.ts, in a process of its own: `hostile-attacker.js NAME PORT ADDRESSES CONNECTIONS`. */
import { type AttackName, addresses, attack } from '../../test/support/attacks.ts';

const [name, port, count, connections] = process.argv.slice(2);
const target = { port: Number(port), path: '/api/v2/log/entries', bodyBytes: 4 * 1024 * 1024 };
attack(name as AttackName, target, addresses(1, Number(count)), Number(connections));
