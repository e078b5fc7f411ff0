/**
 * `npm run bench:load`: the whole server under load, every request counted and every acknowledged entry looked up.
 *
 *     npm run bench:load -- --quick
 *     npm run bench:load -- --only 'shared-256|bulk' --repeat 3 --json /tmp/load.json
 *     npm run bench:load -- --growth
 *     npm run bench:load -- --growth --sizes 100000,10000000 --repeat 5
 *     npm run bench:load -- --witness
 *     npm run bench:load -- --hostile-witness
 *     npm run bench:load -- --hostile-log
 *     npm run bench:load -- --audit
 *     npm run bench:load -- --verify
 *     npm run bench:load -- --decide
 *     npm run bench:load -- --publish
 *     npm run bench:load -- --admission
 *     npm run bench:load -- --ca
 *     npm run bench:load -- --identity --repeat 20
 *     npm run bench:load -- --monitor --repeat 3
 *     npm run bench:load -- --index
 *     npm run bench:load -- --index --sizes 10000000
 *     npm run bench:load -- --map
 *     npm run bench:load -- --map --sizes 10000000
 *     npm run bench:load -- --only shared-256 --server='--cpu-prof --cpu-prof-dir=/tmp/profile dist/client/cli/main.js'
 *     npm run bench:load -- --only shared-256 --server=dist/client/cli/main.js --server='dist/client/cli/main.js --batch-max-age 2ms'
 *     npm run bench:load -- --pairs 20 --server OTHER/dist/client/cli/main.js --server dist/client/cli/main.js
 *
 * `--server` is a command line: flags of Node, the built main.js of this checkout or of another, flags of `stele serve`.
 * With several the runs alternate, so that other work on the machine meets all of them.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { machine, type Row, round, table } from '../report.ts';
import { admissionRows } from './admission.ts';
import { auditRows } from './audit.ts';
import { caRows } from './ca.ts';
import { decideOneRows, decisionsRows } from './decide.ts';
import { GROWTH_LOAD, GROWTH_SIZES, type GrowthRound, growthRatios, growthRows, measureGrowth } from './growth.ts';
import { hostileLogRows } from './hostile-log.ts';
import { hostileWitnessRows } from './hostile-witness.ts';
import { identityRows } from './identity.ts';
import { indexQueryRows, indexRows } from './index-whole.ts';
import { mapRows } from './map-whole.ts';
import { monitorRows } from './monitor.ts';
import { pairRows } from './pairs.ts';
import { publishRows } from './publish.ts';
import { type Measurement, runScenario } from './run.ts';
import { quick, SCENARIOS } from './scenarios.ts';
import { serverCommand } from './server.ts';
import { verifyRows } from './verify.ts';
import { verifyFollowedRows } from './verify-followed.ts';
import { verifyOneRows } from './verify-one.ts';
import { cosignedRows, witnessRows } from './witness.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    sizes: { type: 'string' },
    witness: { type: 'boolean', default: false },
    'hostile-witness': { type: 'boolean', default: false },
    'hostile-log': { type: 'boolean', default: false },
    audit: { type: 'boolean', default: false },
    verify: { type: 'boolean', default: false },
    decide: { type: 'boolean', default: false },
    publish: { type: 'boolean', default: false },
    admission: { type: 'boolean', default: false },
    ca: { type: 'boolean', default: false },
    identity: { type: 'boolean', default: false },
    monitor: { type: 'boolean', default: false },
    index: { type: 'boolean', default: false },
    map: { type: 'boolean', default: false },
    pairs: { type: 'string' },
    json: { type: 'string' },
    only: { type: 'string', default: '' },
    repeat: { type: 'string', default: '1' },
    server: { type: 'string', multiple: true, default: ['dist/client/cli/main.js'] },
  },
});

const servers = values.server.map(serverCommand);
const only = new RegExp(values.only);
const scenarios = SCENARIOS.filter(({ name }) => only.test(name)).map((each) => (values.quick ? quick(each) : each));
const results: (Measurement & { readonly server: string })[] = [];
const growth: GrowthRound[] = [];
const witness: Row[] = [];
const hostile: Row[] = [];
const audit: Row[] = [];
const verified: Row[] = [];
const monitor: Row[] = [];
const pairs: Row[] = [];

if (values.growth) {
  const given = values.sizes?.split(',').map(Number);
  const sizes = given ?? (values.quick ? GROWTH_SIZES.slice(0, 2) : GROWTH_SIZES);
  if (!sizes.every(Number.isSafeInteger)) throw new Error('--sizes are whole numbers, separated by commas');
  const load = values.quick ? { warmUp: 4000, entries: 10_000 } : GROWTH_LOAD;
  growth.push(...(await measureGrowth(sizes, Number(values.repeat), load, servers[0]!, console.error)));
  console.log(table(growthRows(growth)));
  if (sizes.length > 1) console.log(table(growthRatios(growth)));
  for (const wrong of growth.flatMap((result) => result.wrong).slice(0, 5)) console.error(`WRONG: ${wrong}`);
} else if (values.pairs !== undefined) {
  const [first, second] = servers;
  if (first === undefined || second === undefined) throw new Error('--pairs needs --server twice');
  pairs.push(...(await pairRows([first, second], Number(values.pairs), only, console.error)));
  console.log(table(pairs));
} else if (values.verify) {
  const one = await verifyOneRows();
  console.log(table(one));
  const followed = await verifyFollowedRows();
  console.log(table(followed));
  const many = await verifyRows();
  console.log(table(many));
  verified.push(...one, ...followed, ...many);
} else if (values.decide) {
  const one = await decideOneRows();
  console.log(table(one));
  const many = await decisionsRows();
  console.log(table(many));
  verified.push(...one, ...many);
} else if (values.publish) {
  const rows = await publishRows();
  console.log(table(rows));
  verified.push(...rows);
} else if (values.admission) {
  const rows = await admissionRows(values.quick);
  console.log(table(rows));
  verified.push(...rows);
} else if (values.ca) {
  const rows = await caRows(values.quick);
  console.log(table(rows));
  verified.push(...rows);
} else if (values.identity) {
  pairs.push(...(await identityRows(Math.max(6, Number(values.repeat)), values.quick, console.error)));
  console.log(table(pairs));
} else if (values.monitor) {
  monitor.push(...(await monitorRows(Number(values.repeat))));
  console.log(table(monitor));
} else if (values.index) {
  const built = await indexRows(values.quick, values.sizes === undefined ? undefined : Number(values.sizes));
  console.log(table(built.map(({ row }) => row)));
  const queries = indexQueryRows(built);
  console.log(table(queries));
  monitor.push(...built.map(({ row }) => row), ...queries);
} else if (values.map) {
  const rows = mapRows(values.quick, values.sizes === undefined ? undefined : Number(values.sizes));
  console.log(table(rows.map(({ row }) => row)));
  const lookups = rows.flatMap((one) => one.lookups);
  console.log(table(lookups));
  monitor.push(...rows.map(({ row }) => row), ...lookups);
} else if (values.witness) {
  const cosigning = await witnessRows();
  console.log(table(cosigning));
  const cosigned = await cosignedRows(Number(values.repeat));
  console.log(table(cosigned));
  witness.push(...cosigning, ...cosigned);
} else if (values['hostile-log']) {
  hostile.push(...(await hostileLogRows(servers[0]!, only, console.error)));
  console.log(table(hostile));
} else if (values['hostile-witness']) {
  witness.push(...(await hostileWitnessRows(only, console.error)));
  console.log(table(witness));
} else if (values.audit) {
  audit.push(...(await auditRows(Number(values.repeat), values.quick)));
  console.log(table(audit));
} else {
  for (const scenario of scenarios) {
    for (let i = 0; i < Number(values.repeat); i++) {
      for (const [at, command] of servers.entries()) {
        const result = { server: values.server[at]!, ...(await runScenario(scenario, command)) };
        console.error(`${scenario.name}: ${round(result.entriesPerSecond)} entries/s`);
        for (const wrong of result.wrong.slice(0, 5)) console.error(`  WRONG: ${wrong}`);
        results.push(result);
      }
    }
  }
  console.log(table(results.map(resultRow)));
}

if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine: machine(), scenarios, results, growth, witness, hostile, audit, verified, monitor, pairs }, null, 2)}\n`,
  );
}
if (results.some(({ refused, late, lost, wrong }) => refused + late + lost + wrong.length > 0)) process.exitCode = 1;
if (growth.some(({ failed, wrong }) => failed + wrong.length > 0)) process.exitCode = 1;

function resultRow(result: (typeof results)[number]): Row {
  const { aim = '' } = SCENARIOS.find(({ name }) => name === result.scenario) ?? {};
  return {
    scenario: result.scenario,
    ...(servers.length > 1 ? { server: values.server.indexOf(result.server) } : {}),
    'entries/s': round(result.entriesPerSecond),
    'p50 ms': round(result.p50),
    'p99 ms': round(result.p99),
    'max ms': round(result.max),
    'CPU µs/entry': round(result.serverCpu),
    'main thread': round(result.mainCpu),
    generator: round(result.generatorCpu),
    'busy elsewhere': `${Math.round(result.elsewhere * 100)} %`,
    'peak MiB': round(result.peakMemory),
    'refused+late+lost': result.refused + result.late + result.lost,
    checked: result.wrong.length === 0 ? 'all there' : 'WRONG',
    aim,
  };
}
