#!/usr/bin/env bash
# A signing key in a TPM is for signing alone only if its public half says that it cannot verify.
#
# The guess, written down first: a PKCS#11 program that makes an ECDSA key says in the templates what the key is for.
# CKA_VERIFY true of the public key and CKA_SIGN true of the private one are the usual pair, and CKA_DECRYPT false says
# that the private key does nothing else. An EC key cannot encrypt or decrypt anyhow: PKCS #11 has no mechanism for it.
# So one would expect that the last attribute changes nothing, and that the key of the usual pair says "no decryption".
#
# What it does (tpm2-pkcs11 1.9.0 of Debian 12, on swtpm 0.7.1): with CKA_VERIFY true the private key says CKA_DECRYPT
# true, as if it were an RSA key, and C_GenerateKeyPair with CKA_VERIFY true and CKA_DECRYPT false is CKR_GENERAL_ERROR,
# which tells nothing. Without CKA_VERIFY, or with false, CKA_DECRYPT false is kept, and the public key says CKA_VERIFY
# false. Each public key says CKA_ENCRYPT true, and a template that says false there fails. CKA_UNWRAP, CKA_DERIVE and
# CKA_SIGN_RECOVER may be false beside everything.
#
# For a log whose signing key is in a TPM: a program that asks for the least (sign, and nothing else) finds no key, and
# an audit of the attributes sees a signing key that may decrypt. The template has to leave CKA_VERIFY away, and
# signatures are verified outside the token.
#
# Needs apt with the sources of Debian 12 on amd64, and a C++ compiler, make and Python 3 for pkcs11js. Prints what it
# saw and ends with 0; ends with 1 where a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
daemon=
trap 'if [ -n "$daemon" ]; then kill "$daemon" 2> /dev/null || true; fi; rm -rf "$dir"' EXIT
cd "$dir"

# The module, a TPM in software, and their libraries, unpacked here.
apt-get -qq -o APT::Sandbox::User="$(id -un)" download swtpm=0.7.1-1.3 swtpm-libs=0.7.1-1.3 \
  libtpms0=0.9.2-3.1+deb12u1 libtpm2-pkcs11-1=1.9.0-0.1+deb12u1 libtss2-{esys-3.0.2-0,mu0,rc0,sys1}=3.2.1-3 \
  libtss2-{tctildr0,tcti-swtpm0}=3.2.1-3 libyaml-0-2=0.2.5-1 libsqlite3-0=3.40.1-2+deb12u2 \
  libseccomp2=2.5.4-1+deb12u1 >&2
for package in *.deb; do dpkg -x "$package" root; done
npm install --silent --no-audit --no-fund --no-package-lock pkcs11js@2.1.7 >&2
libraries=$dir/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH=$libraries:$libraries/swtpm
export TPM2_PKCS11_TCTI=swtpm:path=$dir/tpm TPM2_PKCS11_STORE=$dir/store TSS2_LOG=all+NONE
mkdir state store

cat > token.cjs <<'JS'
// Makes the token, or a key pair whose templates say what the arguments say, and prints what the key then says.
const ck = require('pkcs11js');
const [path, label, wanted] = process.argv.slice(2);
const cryptoki = new ck.PKCS11();
cryptoki.load(path);
cryptoki.C_Initialize();
const isToken = (slot) => cryptoki.C_GetTokenInfo(slot).label.trim() === 'token';
if (wanted === undefined) {
  const [slot] = cryptoki.C_GetSlotList(true);
  cryptoki.C_InitToken(slot, 'officer', 'token'.padEnd(32));
  const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
  cryptoki.C_Login(session, ck.CKU_SO, 'officer');
  cryptoki.C_InitPIN(session, '1234');
  process.exit();
}
const slot = cryptoki.C_GetSlotList(true).find(isToken);
const session = cryptoki.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
cryptoki.C_Login(session, ck.CKU_USER, '1234');
const [ofPublic, ofPrivate] = wanted.split('/').map((words) =>
  words.split(' ').filter(Boolean).map((word) => {
    const [name, value] = word.split('=');
    return { type: ck[`CKA_${name}`], value: value === 'yes' };
  }),
);
const common = [
  { type: ck.CKA_TOKEN, value: true },
  { type: ck.CKA_LABEL, value: label },
  { type: ck.CKA_ID, value: Buffer.from(label) },
  { type: ck.CKA_KEY_TYPE, value: ck.CKK_EC },
];
const p256 = { type: ck.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') };
const says = (kind, names) => {
  cryptoki.C_FindObjectsInit(session, [{ type: ck.CKA_CLASS, value: kind }, { type: ck.CKA_LABEL, value: label }]);
  const [key] = cryptoki.C_FindObjects(session, 1);
  cryptoki.C_FindObjectsFinal(session);
  const values = cryptoki.C_GetAttributeValue(session, key, names.map((name) => ({ type: ck[`CKA_${name}`] })));
  return names.map((name, at) => `${name}=${values[at].value[0] === 1 ? 'yes' : 'no'}`).join(' ');
};
try {
  cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: ck.CKM_EC_KEY_PAIR_GEN, parameter: null },
    [{ type: ck.CKA_CLASS, value: ck.CKO_PUBLIC_KEY }, ...common, p256, ...ofPublic],
    [{ type: ck.CKA_CLASS, value: ck.CKO_PRIVATE_KEY }, ...common, ...ofPrivate],
  );
  console.log(`${says(ck.CKO_PUBLIC_KEY, ['VERIFY', 'ENCRYPT'])} / ${says(ck.CKO_PRIVATE_KEY, ['SIGN', 'DECRYPT'])}`);
} catch (error) {
  console.log(error.message);
}
cryptoki.C_Finalize();
JS

cat > shutdown.cjs <<'JS'
// TPM2_Shutdown(CLEAR): without it the next start counts as a wrong PIN.
const socket = require('node:net').connect('tpm', () => socket.write(Buffer.from('80010000000c000001450000', 'hex')));
socket.once('data', () => socket.end());
JS

start() { # a TPM that holds no loaded object of an earlier process
  if [ -n "$daemon" ]; then
    node shutdown.cjs
    kill "$daemon" 2> /dev/null || true
    while kill -0 "$daemon" 2> /dev/null; do sleep 0.1; done
  fi
  root/usr/bin/swtpm socket --tpm2 --tpmstate dir="$dir/state" --daemon --pid file="$dir/pid" \
    --server type=unixio,path="$dir/tpm" --ctrl type=unixio,path="$dir/tpm.ctrl" --flags not-need-init,startup-clear
  daemon=$(cat pid)
}
token() {
  node token.cjs "$libraries/libtpm2_pkcs11.so.1" "$@" 2> error.log || { cat error.log >&2; return 1; }
}

start
token key
number=0
seen=
for wanted in ' / ' 'VERIFY=yes / SIGN=yes' 'VERIFY=yes / SIGN=yes DECRYPT=no' 'VERIFY=no / SIGN=yes DECRYPT=no' \
  ' / SIGN=yes DECRYPT=no UNWRAP=no DERIVE=no SIGN_RECOVER=no' \
  'VERIFY=yes / SIGN=yes UNWRAP=no DERIVE=no SIGN_RECOVER=no' 'ENCRYPT=no / SIGN=yes'; do
  number=$((number + 1))
  start
  seen+="$wanted: $(token "key-$number" "$wanted")"$'\n'
done
echo "Public / private attributes in the template: what the key says"
printf %s "$seen"
expected=' / : VERIFY=no ENCRYPT=yes / SIGN=yes DECRYPT=no
VERIFY=yes / SIGN=yes: VERIFY=yes ENCRYPT=yes / SIGN=yes DECRYPT=yes
VERIFY=yes / SIGN=yes DECRYPT=no: CKR_GENERAL_ERROR
VERIFY=no / SIGN=yes DECRYPT=no: VERIFY=no ENCRYPT=yes / SIGN=yes DECRYPT=no
 / SIGN=yes DECRYPT=no UNWRAP=no DERIVE=no SIGN_RECOVER=no: VERIFY=no ENCRYPT=yes / SIGN=yes DECRYPT=no
VERIFY=yes / SIGN=yes UNWRAP=no DERIVE=no SIGN_RECOVER=no: VERIFY=yes ENCRYPT=yes / SIGN=yes DECRYPT=yes
ENCRYPT=no / SIGN=yes: CKR_GENERAL_ERROR
'
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
