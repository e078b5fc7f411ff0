/** The predicate of a delegation of a certificate authority: what its root said of the authority of a team (docs/identity.md). */
import { base64, fields, instant, listOf, must, predicateError, type Shape, someText, wholeNumber } from './shape.ts';

const sha256Hex: Shape<string> = (value, path) => {
  const text = someText(value, path);
  if (!/^[0-9a-f]{64}$/.test(text)) throw predicateError(path, 'is not 64 characters of lower-case hex');
  return text;
};

const names = listOf(someText);

/** Whether the certificate says the same is the work of who reads the delegation with the certificate of the root. */
export const readDelegationPredicate = fields(
  {
    team: must(someText),
    number: must(wholeNumber(1n)),
    root: must(fields({ subject: must(someText), sha256: must(sha256Hex) })),
    names: must(fields({ uri: must(names), dns: must(names), email: must(names) })),
    notBefore: must(instant),
    notAfter: must(instant),
    certificate: must(base64),
  },
  ({ notBefore, notAfter }, path) => {
    if (notAfter.milliseconds < notBefore.milliseconds) throw predicateError(`${path}.notAfter`, 'is before notBefore');
  },
);
