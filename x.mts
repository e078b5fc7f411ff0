import { compileCondition } from './merkle/runtime/policy/cel/condition.ts';
import { toCel } from './merkle/runtime/policy/cel/cel-values.ts';
const declared = ['artifact','signer','certificate','predicateType: string','subject','predicate','entries','times','signedAt: timestamp','now: timestamp'];
const texts = [
 "predicate.buildDefinition.buildType == 'https://actions.github.io/buildtypes/workflow/v1'",
 "predicate.runDetails.builder.id.startsWith('https://github.com/')",
 "signer.kind == 'certificate' && signer.issuer == 'https://token.actions.githubusercontent.com'",
 "'release@example.com' in signer.names",
 "now - signedAt < duration('720h')",
 "entries.exists(e, e.origin == 'log.example.com' && e.quorum)",
 "has(predicate.buildDefinition.externalParameters.workflow.ref)",
 "predicate.buildDefinition.externalParameters.workflow.ref.matches('^refs/tags/v[0-9]+')",
 "predicate.level >= 2",
 "predicate.buildDefinition.resolvedDependencies.all(d, has(d.digest.gitCommit))",
];
const t0=performance.now();
const conditions = texts.map(t=>compileCondition(t, declared));
console.log('compile', performance.now()-t0);
const src = () => ({ signer: {kind:'certificate', issuer:'https://token.actions.githubusercontent.com', names:['release@example.com'], fingerprint:'aa', extensions:{}},
 predicate: { level: 3n, buildDefinition: { buildType: 'https://actions.github.io/buildtypes/workflow/v1', externalParameters: {workflow: {ref:'refs/tags/v1.2', repository:'x', path:'y'}}, resolvedDependencies: [{uri:'git+x', digest:{gitCommit:'abc'}}]}, runDetails:{builder:{id:'https://github.com/a/b'}}},
 entries: [{origin:'log.example.com', index: 5n, quorum:true, witnesses:[]}], predicateType:'x', subject:{name:'a',digest:{sha256:'x'}}, times:[{kind:'timestamp', time:new Date(), by:'x'}], signedAt: new Date(Date.now()-1000)});
const of = (s: any) => Object.fromEntries(Object.entries(s).map(([k,v])=>[k,toCel(v as any)]));
for (const c of conditions) { const v = c.evaluate({...of(src()), now: toCel(new Date())}); if (v!==true) console.log(c.text, v); }
for (let round=0; round<3; round++) {
 const vars = of(src());
 let n=0; const s=performance.now(); const cpu=process.cpuUsage();
 while (performance.now()-s<1500) { const given={...vars, artifact: toCel({name:'x',digest:{sha256:'x'}}), now: toCel(new Date())}; for (const c of conditions) if (c.evaluate(given)!==true) throw 1; n++; }
 const u=process.cpuUsage(cpu); console.log('shared evidence: decisions per cpu second', n/(u.user+u.system)*1e6);
}
 { let n=0; const s=performance.now(); const cpu=process.cpuUsage();
 while (performance.now()-s<1500) { const given={...of(src()), artifact: toCel({name:'x',digest:{sha256:'x'}}), now: toCel(new Date())}; for (const c of conditions) if (c.evaluate(given)!==true) throw 1; n++; }
 const u=process.cpuUsage(cpu); console.log('new evidence: decisions per cpu second', n/(u.user+u.system)*1e6);}
 const vars={...of(src()), artifact: toCel({name:'x',digest:{sha256:'x'}}), now: toCel(new Date())};
 for (const c of conditions) { const cpu=process.cpuUsage(); for (let i=0;i<20000;i++) c.evaluate(vars); const u=process.cpuUsage(cpu); console.log(((u.user+u.system)/20000).toFixed(2),'us', c.text); }
