import { build } from 'rolldown';
const stub = process.argv[2]==='stub';

const stubOf = async (m) => Object.entries(await import(m)).map(([n,v])=>`export const ${n} = ${typeof v?.typeName==='string' ? JSON.stringify({typeName:v.typeName}) : /^is[A-Z]/.test(n) ? '() => false' : 'undefined'};`).join('\n');
const lean = { name:'lean', resolveId(source, importer){
  if (importer && /\/@bufbuild\/cel\//.test(importer) && /^@bufbuild\/(protobuf|cel-spec)\b/.test(source)) return {id:'\0'+source};
  return null; }, load(id){ return id[0]==='\0' && id.includes('@bufbuild') ? stubOf(id.slice(1)) : null;} };
const r = await build({ input:'merkle/runtime/policy/cel/condition.ts', platform:'node', logLevel:'warn', plugins: stub?[lean]:[], output:{dir:'/tmp/celb', entryFileNames: stub?'stub.cjs':'plain.cjs', format:'cjs', comments:false, minify:{compress:true,mangle:false,codegen:{removeWhitespace:true}}}});
for (const c of r.output) { console.log(c.fileName, c.code.length); const sizes=Object.entries(c.modules).map(([k,v])=>[v.renderedLength??v.code?.length, k.replace(/.*node_modules/,'')]).sort((a,b)=>b[0]-a[0]).slice(0,25); console.log(sizes.map(s=>s.join(' ')).join('\n')); }
