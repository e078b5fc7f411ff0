/** The one module of node-forge that is loaded: its typings describe the whole only. */
declare module 'node-forge/lib/asn1.js' {
  /** `value` holds one character a byte. */
  export interface Asn1 {
    readonly tagClass: number;
    readonly type: number;
    readonly constructed: boolean;
    readonly value: string | readonly Asn1[];
  }
  interface ParseOptions {
    readonly strict: boolean;
    readonly parseAllBytes: boolean;
    readonly decodeBitStrings: boolean;
    readonly maxDepth: number;
  }
  const asn1: {
    /** Throws where `bytes` is not BER. Adds what is missing to `options`. */
    fromDer(bytes: string, options: ParseOptions): Asn1;
    toDer(node: Asn1): { getBytes(): string };
  };
  export default asn1;
}
