/** Chance, from 0 up to and without 1, for what need not be secret: nothing else draws it. */
export const random = (): number => Math.random();
