#!/usr/bin/env bash
# OpenSSL, and Node with it, cannot read a PKCS#8 key whose password is hashed with scrypt at the costs of today.
#
# The guess, written down first: PKCS#8 names the costs of scrypt in the file (RFC 7914 section 7), so a reader has all
# that it needs. `openssl pkcs8` has the option -scrypt_N to choose the cost. One would expect it to take what the
# memory of the machine allows, and OpenSSL to read what another library wrote. cosign 3.1.1, for one, hashes the
# password of its keys with N = 65536, r = 8 (64 MiB, in a file form of its own); crypto.scrypt of Node computes that
# if maxmem is raised.
#
# What it does (OpenSSL 3.0.20; Node 24.21.0 with OpenSSL 3.5.8): a key file gets 32 MiB at most, and no option of the
# command and none of createPrivateKey() raises that. With r = 8 the highest N is 16384, the default; for N = 32768
# some kilobytes are missing. The command refuses to write such a file. A valid file with N = 32768 or 65536, written
# by pycryptodome and read by it, is refused with the right password: by Node with "memory limit exceeded", by `openssl
# pkey` with "Could not read key" first. More work in the same memory, by a higher p, is read: N = 16384 with p = 8.
#
# For a log whose operator keeps its key in an encrypted file: with N above 16384 the server cannot open the key,
# however much memory it has, and a backup that was encrypted "better" elsewhere is found unreadable on the day it is
# needed.
#
# Needs apt with the sources of Debian 12, and python3. Prints what it saw and ends with 0; ends with 1 where a version
# behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get -qq -o APT::Sandbox::User="$(id -un)" download openssl=3.0.20-1~deb12u2 libssl3=3.0.20-1~deb12u2 \
  python3-pycryptodome=3.11.0+dfsg1-4 >&2
for package in *.deb; do dpkg -x "$package" root; done
npm install --silent --no-audit --no-fund --no-package-lock node@24.21.0 >&2
openssl() { LD_LIBRARY_PATH=$(echo "$dir"/root/usr/lib/*-linux-gnu*) root/usr/bin/openssl "$@"; }

cat > write.py <<'PY'
# One key in several files, which differ in the costs of scrypt; each is read again.
from Cryptodome.PublicKey import ECC
key = ECC.generate(curve="P-256")
for n, p in ((16384, 1), (16384, 8), (32768, 1), (65536, 1)):
    costs = {"iteration_count": n, "block_size": 8, "parallelization": p}
    text = key.export_key(format="PEM", passphrase="secret", use_pkcs8=True, protection="scryptAndAES256-CBC",
                          prot_params=costs)
    assert ECC.import_key(text, passphrase="secret") == key
    with open(f"{n}-{p}.pem", "w") as file:
        file.write(text)
PY
PYTHONPATH=root/usr/lib/python3/dist-packages python3 write.py

cat > read.cjs <<'JS'
const { createPrivateKey, scryptSync } = require('node:crypto');
const { readFileSync } = require('node:fs');
const [n, p] = process.argv.slice(2);
const result = (work) => {
  try {
    return work();
  } catch (error) {
    return error.code;
  }
};
const costs = { N: Number(n), r: 8, p: Number(p), maxmem: 2 ** 28 };
const file = { key: readFileSync(`${n}-${p}.pem`), passphrase: 'secret' };
const computes = result(() => scryptSync('secret', 'salt', 32, costs) && 'computes');
const reads = result(() => createPrivateKey(file) && 'reads');
console.log(`crypto.scrypt ${computes}, createPrivateKey ${reads}`);
JS

result() { # of a command: its end and the error that tells why
  if "$@" > /dev/null 2> error.txt; then
    echo done
  else
    echo "refused ($(grep -om 1 'memory limit exceeded' error.txt || head -n 1 error.txt))"
  fi
}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.pem
node=$(node_modules/.bin/node -p '`Node ${process.versions.node} with OpenSSL ${process.versions.openssl}`')
echo "$(openssl version | cut -d ' ' -f 1,2), $node"
seen=$(
  for costs in '16384 1' '16384 8' '32768 1' '65536 1'; do
    read -r n p <<< "$costs"
    echo "  N = $n, r = 8, p = $p"
    echo "    openssl pkcs8 writes: $(result openssl pkcs8 -topk8 -in plain.pem -scrypt -scrypt_N "$n" -scrypt_r 8 \
      -scrypt_p "$p" -passout pass:secret)"
    echo "    openssl pkey reads pycryptodome's file: $(result openssl pkey -in "$n-$p.pem" -passin pass:secret -noout)"
    echo "    Node: $(node_modules/.bin/node read.cjs "$n" "$p")"
  done
)
echo "$seen"
good='    openssl pkcs8 writes: done
    openssl pkey reads pycryptodome'\''s file: done
    Node: crypto.scrypt computes, createPrivateKey reads'
bad='    openssl pkcs8 writes: refused (memory limit exceeded)
    openssl pkey reads pycryptodome'\''s file: refused (memory limit exceeded)
    Node: crypto.scrypt computes, createPrivateKey ERR_OSSL_EVP_MEMORY_LIMIT_EXCEEDED'
expected="  N = 16384, r = 8, p = 1
$good
  N = 16384, r = 8, p = 8
$good
  N = 32768, r = 8, p = 1
$bad
  N = 65536, r = 8, p = 1
$bad"
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
