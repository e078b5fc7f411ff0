/**
 * One lookup of a host's name for all that ask at one time. The resolver of the system takes a thread for each lookup, and a name
 * whose servers do not answer keeps it for many seconds: a registry must not take more than one of them.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';

type Callback = (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void;
type Resolve = (host: string, options: object, callback: Callback) => void;

/** In the form that `AddressGuard` takes. */
export function sharedLookup(resolve: Resolve = dnsLookup as Resolve): typeof dnsLookup {
  const waiting = new Map<string, Callback[]>();
  const shared: Resolve = (host, options, callback) => {
    const key = JSON.stringify([host, options]);
    const others = waiting.get(key);
    if (others !== undefined) {
      others.push(callback);
      return;
    }
    const callbacks = [callback];
    waiting.set(key, callbacks);
    resolve(host, options, (error, addresses) => {
      waiting.delete(key);
      for (const one of callbacks) one(error, addresses);
    });
  };
  return shared as typeof dnsLookup;
}
