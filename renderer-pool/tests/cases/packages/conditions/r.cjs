exports.self = require("#self").self;
