// Verifies a Sigstore bundle with the @sigstore/verify of the working directory, which needs a newer Node than the project:
//   node verify-child.mjs FILE     with FILE = { "trustedRoot", "bundle", "artifact": base64 or absent, "identity" }
// Prints the package's version. Prints the error's code and exits with 1 if the bundle does not verify.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.cwd(), 'x.js'));
const beside = createRequire(require.resolve('@sigstore/verify'));
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');
const { bundleFromJSON } = beside('@sigstore/bundle');
const { TrustedRoot } = beside('@sigstore/protobuf-specs');

const { trustedRoot, bundle, artifact, identity } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const trust = toTrustMaterial(TrustedRoot.fromJSON(trustedRoot));
try {
  const entity = toSignedEntity(bundleFromJSON(bundle), artifact === undefined ? undefined : Buffer.from(artifact, 'base64'));
  new Verifier(trust, { ctlogThreshold: 0 }).verify(entity, identity);
  console.log(JSON.parse(readFileSync(join(process.cwd(), 'node_modules/@sigstore/verify/package.json'), 'utf8')).version);
} catch (error) {
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
