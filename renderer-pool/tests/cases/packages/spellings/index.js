const inner = { getter: "got" };
exports.assigned = 1;
module.exports.literal = 2;
exports["string name"] = 3;
Object.defineProperty(exports, "defined", { enumerable: true, value: 4 });
Object.defineProperty(exports, "getter", { enumerable: true, get: function () { return inner.getter; } });
