#!/usr/bin/env bash
# `ssh-keygen -m PKCS8` says that the key is saved, and leaves an Ed25519 key as it was and a password's options aside.
#
# The guess, written down first: `ssh-keygen -p -m PKCS8` converts a private key to PKCS#8, which OpenSSL and Node
# read; its handbook names -p for such conversions. `-a` sets the rounds of the password's hash "when saving a private
# key", -Z the cipher. One would expect each of them to hold for each kind of key, and an error where one does not.
#
# What it does. OpenSSH 9.2: an Ed25519 key stays in OpenSSH's own form, with exit status 0 and the message that it is
# saved; Node then refuses the file. ECDSA and RSA are converted. OpenSSH 10.6: the private Ed25519 key is converted
# too, but its public key is not (`-e -m PKCS8` is an error for Ed25519 in both, and for ECDSA and RSA in neither). And
# in both -a and -Z change nothing in a PKCS#8 file: it has 2048 rounds of PBKDF2 and AES-128 in CBC mode, whatever is
# asked for. In OpenSSH's own form the same options are kept.
#
# For a log whose operator makes its key with ssh-keygen: "saved" does not mean PKCS#8, so a key has to be loaded once
# before it is used; and the hash that guards its password is a fast one, until `openssl pkcs8 -topk8 -iter` rewrites
# the file.
#
# Needs apt with the sources of Debian 12 on amd64, and openssl. Prints what it saw and ends with 0; ends with 1 where
# a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# OpenSSH of Debian 12, and of Debian unstable with the libraries that it needs, each unpacked here.
source=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p apt/lists/partial apt/cache/archives/partial old new
touch apt/status
echo "deb [signed-by=$keyring] $source unstable main" > apt/sources.list
user=APT::Sandbox::User="$(id -un)"
options=(-qq -o "$user" -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache")
(cd old && apt-get -qq -o "$user" download openssh-client=1:9.2p1-2+deb12u10 >&2)
apt-get "${options[@]}" update >&2
(cd new && apt-get "${options[@]}" download openssh-common=1:10.6p1-1 libc6=2.43-7 libssl3t64=3.6.5-1 \
  zlib1g=1:1.3.dfsg+really1.3.2-4 libzstd1=1.5.7+dfsg-4 libselinux1=3.11-2.1+b1 libpcre2-8-0=10.49-1 >&2)
for package in {old,new}/*.deb; do dpkg -x "$package" "${package%%/*}"; done
keygen() {
  local libraries=new/usr/lib/x86_64-linux-gnu
  case $version in
    9.2) old/usr/bin/ssh-keygen "$@" ;;
    10.6) "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" new/usr/bin/ssh-keygen "$@" ;;
  esac
}

form() { sed -n '1s/-----BEGIN \(.*\)-----/\1/p' "$1"; }
node_reads() {
  local program='require("node:crypto").createPrivateKey(require("node:fs").readFileSync(process.argv[1]))'
  node -e "$program" "$1" 2> /dev/null &&
    echo 'Node reads it' || echo 'Node refuses it'
}
protection() { # of a file in PKCS#8: rounds of PBKDF2 and cipher
  openssl asn1parse -in "$1" > asn1.txt
  local rounds
  rounds=$(sed -n '/:PBKDF2/,/:hmac/s/.*INTEGER *://p' asn1.txt)
  echo "$((16#$rounds)) rounds of PBKDF2, $(sed -n 's/.*OBJECT *:\(aes.*\)/\1/p' asn1.txt)"
}
own_protection() { # of a file in OpenSSH's own form: three texts (cipher, hash, options of the hash) after 15 bytes
  node - "$1" <<'JS'
const lines = require('node:fs').readFileSync(process.argv[2], 'utf8').trim().split('\n');
const bytes = Buffer.from(lines.slice(1, -1).join(''), 'base64');
let offset = 'openssh-key-v1\0'.length;
const next = () => {
  const start = offset + 4;
  offset = start + bytes.readUInt32BE(offset);
  return bytes.subarray(start, offset);
};
const [cipher, hash, options] = [next(), next(), next()];
console.log(`${options.readUInt32BE(options.length - 4)} rounds of ${hash}, ${cipher}`);
JS
}

look() {
  local type status saved
  for type in ed25519 ecdsa rsa; do
    keygen -q -t $type -N '' -f key
    status=0
    keygen -p -m PKCS8 -P '' -N '' -f key > said.txt || status=$?
    saved=$(grep -o 'has been saved' said.txt)
    echo "  $type, -p -m PKCS8: status $status, $saved, form $(form key), $(node_reads key)"
    keygen -e -m PKCS8 -f key.pub > public.txt 2> said.txt || tr -d '\r' < said.txt > public.txt
    echo "    -e -m PKCS8: $(sed -n '1s/-----BEGIN \(.*\)-----/\1/; 1p' public.txt)"
    rm key key.pub
  done
  keygen -q -t ecdsa -a 50 -Z aes256-gcm@openssh.com -N secret -f key
  echo "  ecdsa, -a 50 -Z aes256-gcm@openssh.com: $(own_protection key)"
  keygen -p -m PKCS8 -a 50 -Z aes256-gcm@openssh.com -P secret -N secret -f key > said.txt
  echo "    then with -p -m PKCS8: $(grep -o 'has been saved' said.txt), $(protection key)"
  rm key key.pub
}

seen=$(for version in 9.2 10.6; do echo "OpenSSH $version" && look; done)
echo "$seen"
both='  ecdsa, -p -m PKCS8: status 0, has been saved, form PRIVATE KEY, Node reads it
    -e -m PKCS8: PUBLIC KEY
  rsa, -p -m PKCS8: status 0, has been saved, form PRIVATE KEY, Node reads it
    -e -m PKCS8: PUBLIC KEY
  ecdsa, -a 50 -Z aes256-gcm@openssh.com: 50 rounds of bcrypt, aes256-gcm@openssh.com
    then with -p -m PKCS8: has been saved, 2048 rounds of PBKDF2, aes-128-cbc'
expected="OpenSSH 9.2
  ed25519, -p -m PKCS8: status 0, has been saved, form OPENSSH PRIVATE KEY, Node refuses it
    -e -m PKCS8: do_convert_to_pkcs8: unsupported key type ED25519
$both
OpenSSH 10.6
  ed25519, -p -m PKCS8: status 0, has been saved, form PRIVATE KEY, Node reads it
    -e -m PKCS8: do_convert_to_pkcs8: unsupported key type ED25519
$both"
if [ "$seen" != "$expected" ]; then
  echo 'This is not what was seen before: the finding no longer holds.'
  exit 1
fi
