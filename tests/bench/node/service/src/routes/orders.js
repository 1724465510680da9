const axios = require("axios");
const lodash = require("lodash");
const mongoose = require("mongoose");
const Redis = require("ioredis");
const { v7: uuid } = require("uuid");
const router = require("express").Router();

const Order = mongoose.model("Order", new mongoose.Schema({ number: String, items: [String], paid: Boolean }));
const cache = new Redis({ lazyConnect: true });

router.post("/", (request, response) => {
  const order = new Order({ number: uuid(), items: lodash.uniq(request.body.items) });
  response.status(201).json(order);
});
router.get("/rates", async (request, response) => {
  const rates = (await cache.get("rates")) ?? (await axios.get(process.env.RATES_URL)).data;
  response.json(rates);
});
module.exports = router;
