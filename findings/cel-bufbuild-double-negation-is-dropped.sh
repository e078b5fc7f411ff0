#!/usr/bin/env bash
# In CEL, not(not(x)) of a text is an error; @bufbuild/cel gives the text itself, and true for a comparison with it.
#
# The guess, written down first: `!` is defined for bool alone, and `-` for int and double alone (the list of standard
# definitions in the language's definition). So `!(!x)` is an error where x is a text, exactly as `!x` is, and `-(-x)`
# is one where x is a uint, which has no negative values. A policy author who writes `!!predicate.signed` expects true,
# false, or an error that denies.
#
# What it does (@bufbuild/cel 0.6.1): its parser drops two signs, also where parentheses stand between them. `!'x'` and
# `-1u` are errors, `!(!'x')` is the text 'x', and `!(!x) == 'x'` is true where the language has an error. Beside it,
# @marcbachmann/cel-js 8.0.0 says that the operator is not defined for a text.
#
# For a log whose admission policy is CEL: the two signs are read as "make it a bool", and instead pass the value on. A
# predicate's text "no" then leaves a condition as it came, and a caller that looks for something truthy admits it. Only
# a comparison of the result with true holds, and a policy that was tested on one engine fails on the other.
#
# Needs npm. Prints what it saw and ends with 0; ends with 1 where a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --no-package-lock @bufbuild/cel@0.6.1 @marcbachmann/cel-js@8.0.0 >&2

cat >run.mjs <<'JS'
import { run } from '@bufbuild/cel';
import { evaluate } from '@marcbachmann/cel-js';

const result = (work) => {
  try {
    const value = work();
    return value instanceof Error ? 'an error' : `${typeof value} ${value}`;
  } catch {
    return 'an error';
  }
};
const variables = { x: 'no' };
for (const text of ["!x", "!!x", "!(!x)", "!(!x) == 'no'", "-(1u)", "-(-(1u)) == 1u"]) {
  const [buf, other] = [result(() => run(text, variables)), result(() => evaluate(text, variables))];
  console.log(`${text.padEnd(16)} @bufbuild/cel: ${buf}; @marcbachmann/cel-js: ${other}`);
}
JS
seen=$(node run.mjs)
echo "$seen"
expected="!x               @bufbuild/cel: an error; @marcbachmann/cel-js: an error
!!x              @bufbuild/cel: string no; @marcbachmann/cel-js: an error
!(!x)            @bufbuild/cel: string no; @marcbachmann/cel-js: an error
!(!x) == 'no'    @bufbuild/cel: boolean true; @marcbachmann/cel-js: an error
-(1u)            @bufbuild/cel: an error; @marcbachmann/cel-js: an error
-(-(1u)) == 1u   @bufbuild/cel: boolean true; @marcbachmann/cel-js: an error"
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
