/** The only module of node-forge that Stele loads. The published typings cover only the whole package. */
declare module 'node-forge/lib/asn1.js' {
  /** A text in `value` has one character per byte. */
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
    /** Throws if `bytes` is not BER. Adds missing options to `options`. */
    fromDer(bytes: string, options: ParseOptions): Asn1;
    toDer(node: Asn1): { getBytes(): string };
  };
  export default asn1;
}
