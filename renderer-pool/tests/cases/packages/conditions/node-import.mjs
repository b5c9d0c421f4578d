export const self = "node import";
