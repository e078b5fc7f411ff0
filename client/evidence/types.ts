/** Where evidence about an artifact comes from. */
import type { ImageName } from './image-name.ts';

/** A file of evidence, as its source holds it: nothing of it is verified, and nothing is parsed. */
export interface EvidencePiece {
  /** File or address, for people. */
  readonly source: string;
  /** A bundle, or a file with several; at most 64 MiB. */
  readonly bytes: Uint8Array;
}

/** What evidence is wanted about. */
export interface EvidenceSubject {
  /** `sha256:HEX`, in lower-case hex; other algorithms in the same form. */
  readonly digest: string;
  /** The name under which the image runs. A source that asks its registry cannot do without it. */
  readonly image?: ImageName | undefined;
  /** Counts the bytes that the source holds. What it throws, `find` rejects with. */
  readonly room?: EvidenceRoom | undefined;
}

/** Memory that a source asks for. */
export interface EvidenceRoom {
  /** Before so many bytes are held. @throws ClientError `evidence`: there is no room */
  take(bytes: number): void;
  /** So many of them are not held any longer. The bytes of pieces are: their caller has them. */
  give(bytes: number): void;
}

export interface EvidenceSource {
  /**
   * All pieces that may be about the subject; a source may return pieces about other things too. An empty list means that
   * there is no evidence. A source that cannot know that rejects.
   *
   * @throws ClientError `evidence`: what the source holds breaks a limit or is malformed; `network`, `unavailable`,
   *   `refused`, `bad-reply`: a registry gave no answer to work with; `usage`: no image is named; `cancelled`
   */
  find(subject: EvidenceSubject, signal: AbortSignal): Promise<readonly EvidencePiece[]>;
}
